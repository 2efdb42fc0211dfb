// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {PolicyRegistry} from "../src/PolicyRegistry.sol";
import {Tokens} from "../src/Tokens.sol";
import {PolicyWorld, PoolFactory} from "./support/PolicyWorld.sol";
import {TestToken} from "./support/TestToken.sol";

/// @dev What an executor may hold, borrow from and trade in; sets.
contract RegistryTest is PolicyWorld {
    function test_tracked_tokens_are_bounded_and_removable() public {
        vm.startPrank(owner);
        registry.setToken(executor, address(weth), 1, false);
        for (uint256 i = 2; i < registry.MAX_TRACKED_TOKENS(); ++i) {
            registry.setToken(executor, address(new TestToken("T")), 1, false);
        }
        address last = address(new TestToken("T"));
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.TooManyTokens.selector, 32));
        registry.setToken(executor, last, 1, false);

        registry.setToken(executor, address(weth), 0, false);
        registry.setToken(executor, last, 2, false);
        registry.setToken(executor, last, 3, false);
        uint256[] memory tracked = registry.trackedTokens(executor);
        assertEq(tracked.length, 32);
        assertEq(tracked[0], uint256(1) << 160 | uint160(Tokens.NATIVE));
        assertEq(tracked[31], uint256(3) << 160 | uint160(last));
        for (uint256 i = 1; i < 32; ++i) {
            assertNotEq(address(uint160(tracked[i])), address(weth));
            (uint8 class,, uint8 position) = registry.tokens(executor, address(uint160(tracked[i])));
            assertEq(position, i);
            assertEq(class, tracked[i] >> 160);
        }
    }

    function test_absurd_tokens_lenders_and_factories_are_refused() public {
        address place = address(target);
        vm.startPrank(owner);
        vm.expectRevert(PolicyRegistry.NativeIsAlwaysTracked.selector);
        registry.setToken(executor, Tokens.NATIVE, 1, false);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.UnknownClass.selector, 4));
        registry.setToken(executor, address(usd), 4, false);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.AllowanceOnDebt.selector, address(usd)));
        registry.setToken(executor, address(usd), 3, true);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.NoCode.selector, stranger));
        registry.setToken(executor, stranger, 1, false);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.TokenUntracked.selector, stranger));
        registry.setToken(executor, stranger, 0, false);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.UnknownKind.selector, 7));
        registry.setLender(executor, place, 7);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.NoCode.selector, stranger));
        registry.setLender(executor, stranger, 1);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.UnknownKind.selector, 6));
        registry.setFactory(executor, place, 6, 0, 0, false);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.NoCode.selector, stranger));
        registry.setFactory(executor, stranger, 1, 0, 0, false);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.FeeOutOfRange.selector, 1_000_000));
        registry.setFactory(executor, place, 1, 0, 1_000_000, false);
        for (uint8 kind = 2; kind <= 5; ++kind) {
            vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.FeeOutOfRange.selector, 1));
            registry.setFactory(executor, place, kind, 0, 1, false);
        }
    }

    function test_lenders_are_asked_by_kind_and_for_known_assets() public {
        address[] memory loaned = new address[](1);
        loaned[0] = address(usd);
        vm.startPrank(owner);
        registry.setLender(executor, address(target), 4);
        vm.startPrank(executor);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.LenderRefused.selector, address(target), 1));
        registry.checkLender(address(target), 1, loaned);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.LenderRefused.selector, stranger, 0));
        registry.checkLender(stranger, 0, loaned);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.TokenUntracked.selector, address(usd)));
        registry.checkLender(address(target), 4, loaned);
        vm.startPrank(owner);
        registry.setToken(executor, address(usd), 3, false);
        vm.startPrank(executor);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.TokenUntracked.selector, address(usd)));
        registry.checkLender(address(target), 4, loaned);
        vm.startPrank(owner);
        registry.setToken(executor, address(usd), 2, false);
        vm.startPrank(executor);
        registry.checkLender(address(target), 4, loaned);
        vm.startPrank(owner);
        registry.setLender(executor, address(target), 0);
        assertEq(registry.lendersOf(executor).length, 0);
        vm.startPrank(executor);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.LenderRefused.selector, address(target), 4));
        registry.checkLender(address(target), 4, loaned);
    }

    function test_pools_are_the_factories_own_whatever_their_salt() public {
        PoolFactory factory = new PoolFactory();
        (address a, address b) = _sorted();
        bytes32[6] memory salts = [
            keccak256(abi.encodePacked(a, b)),
            keccak256(abi.encode(a, b, uint24(500))),
            keccak256(abi.encodePacked(a, b, true)),
            keccak256(abi.encodePacked(a, b, false)),
            keccak256(abi.encodePacked(a, b)),
            keccak256(abi.encode(a, b))
        ];
        uint8[6] memory kinds = [1, 2, 3, 3, 4, 5];
        uint24[6] memory fees = [uint24(0), 500, 1, 0, 0, 0];
        _trade();
        for (uint256 i = 0; i < 6; ++i) {
            address pool = i == 4 ? address(0) : factory.create(salts[i]);
            _factory(address(factory), kinds[i], kinds[i] == 1 ? 3000 : 0, i % 2 == 0);
            vm.startPrank(executor);
            (address found, uint256 feePpm) =
                registry.poolOf(kinds[i], address(factory), b, a, fees[i], i % 2 == 0);
            if (i != 4) assertEq(found, pool);
            assertEq(feePpm, kinds[i] == 1 ? 3000 : 0);
            vm.stopPrank();
        }
    }

    function test_pools_of_other_kinds_tokens_and_fees_are_refused() public {
        address factory = address(new PoolFactory());
        (address a, address b) = _sorted();
        _trade();
        _factory(factory, 2, 0, false);
        vm.startPrank(executor);
        vm.expectPartialRevert(PolicyRegistry.NoPool.selector);
        registry.poolOf(2, factory, a, b, 500, false);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.FactoryRefused.selector, factory, 1));
        registry.poolOf(1, factory, a, b, 0, false);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.FactoryRefused.selector, stranger, 0));
        registry.poolOf(0, stranger, a, b, 0, false);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.NotReducing.selector, factory, bytes4(0)));
        registry.poolOf(2, factory, a, b, 500, true);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.TokenUntracked.selector, stranger));
        registry.poolOf(2, factory, stranger, b, 500, false);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.TokenUntracked.selector, stranger));
        registry.poolOf(2, factory, a, stranger, 500, false);
        uint8[4] memory kinds = [1, 3, 4, 5];
        for (uint256 i = 0; i < kinds.length; ++i) {
            vm.stopPrank();
            _factory(factory, kinds[i], 0, false);
            vm.startPrank(executor);
            vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.FeeOutOfRange.selector, 2));
            registry.poolOf(kinds[i], factory, a, b, 2, false);
        }
        vm.stopPrank();
        assertEq(registry.factoriesOf(executor).length, 1);
        vm.prank(owner);
        registry.setFactory(executor, factory, 0, 0, 0, false);
        assertEq(registry.factoriesOf(executor).length, 0);
    }

    function test_sets_are_read_back_and_belong_to_their_policy() public {
        _members(7, 1, true);
        _members(7, 2, true);
        _members(7, 2, true);
        _members(8, 3, true);
        _members(7, 1, false);
        _members(7, 9, false);
        assertEq(abi.encode(registry.membersOf(executor, 7)), abi.encode(_one(2)));
        assertEq(registry.setsOf(executor).length, 2);
        assertEq(registry.membersOf(stranger, 7).length, 0);
    }

    // ------------------------------------------------------------------- internal

    function _factory(address factory, uint8 kind, uint24 feePpm, bool reduce) private {
        _write(_factoryCall(factory, kind, feePpm, reduce));
    }

    function _trade() private {
        _write(_tokenCall(address(usd), 1, false));
        _write(_tokenCall(address(weth), 1, false));
    }

    function _sorted() private view returns (address, address) {
        return usd < weth ? (address(usd), address(weth)) : (address(weth), address(usd));
    }
}
