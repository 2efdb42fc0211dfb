// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {Running} from "../src/Running.sol";
import {Scratch} from "../src/Scratch.sol";
import {Swaps} from "../src/Swaps.sol";
import {ForkPool} from "./support/ForkPools.sol";
import {Ops} from "./support/Ops.sol";
import {World} from "./support/World.sol";

/// @dev Forks of Uniswap V2 and V3: other salts, other curves, other names of the callback. This test is their
///      factory. The true Uniswap pools are in FlashArbitrage.t.sol.
contract SwapsTest is World {
    uint8 private constant V2 = 1;
    uint8 private constant V3 = 2;
    uint8 private constant SOLIDLY = 3;
    uint8 private constant CAMELOT = 4;
    uint8 private constant ALGEBRA = 5;

    address internal first;
    address internal second;

    function setUp() public override {
        super.setUp();
        (first, second) =
            address(weth) < address(usd) ? (address(weth), address(usd)) : (address(usd), address(weth));
        weth.transfer(address(executor), 10 ether);
        usd.mint(address(executor), 10 ether);
    }

    // ------------------------------------------------------------------ V2 and its forks

    function test_pairs_of_all_names_are_paid_in_their_callback() public {
        string[3] memory names = [
            "uniswapV2Call(address,uint256,uint256,bytes)",
            "pancakeCall(address,uint256,uint256,bytes)",
            "hook(address,uint256,uint256,bytes)"
        ];
        ForkPool fork = _pool(V2, 0);
        for (uint256 i = 0; i < 3; ++i) {
            fork.set(names[i], first, second);
            uint256 before = weth.balanceOf(address(fork));
            _swap(_onPair(Ops.lit(1 ether), 0.99 ether, _nothing()), 1 ether);
            assertEq(weth.balanceOf(address(fork)) - before, 1 ether);
            assertTrue(_transientIsEmpty());
        }
        fork.set("anyCall(address,uint256,uint256,bytes)", first, second);
        vm.expectRevert();
        _swap(_onPair(Ops.lit(1 ether), 0, _nothing()), 1 ether);
    }

    function test_a_flash_swap_that_somebody_else_began_is_refused() public {
        ForkPool fork = _pool(V2, 0);
        fork.set("hook(address,uint256,uint256,bytes)", first, second);
        fork.lie();
        _executeRefused(
            Ops.stream(_onPair(Ops.lit(1 ether), 0, _nothing())),
            abi.encodeWithSelector(Running.NotOurs.selector, address(fork))
        );
    }

    function test_pairs_that_quote_themselves_are_asked() public {
        for (uint8 kind = SOLIDLY; kind <= CAMELOT; ++kind) {
            for (uint8 variant = 0; variant < (kind == SOLIDLY ? 2 : 1); ++variant) {
                uint256 state = vm.snapshotState();
                ForkPool fork = _pool(kind, variant);
                fork.set("hook(address,uint256,uint256,bytes)", first, second);
                uint256 before = usd.balanceOf(beneficiary);
                _swap(_quoted(kind, variant, 0.995 ether, ""), 1 ether);
                assertEq(usd.balanceOf(beneficiary) - before, 10.995 ether);
                _swap(_quoted(kind, variant, 0.995 ether, _nothing()), 1 ether);
                _executeRefused(
                    Ops.stream(_quoted(kind, variant, 0.995 ether + 1, "")),
                    abi.encodeWithSelector(
                        Swaps.OutputBelowMinimum.selector, address(fork), 0.995 ether, 0.995 ether + 1
                    )
                );
                vm.revertToState(state);
            }
        }
    }

    // ------------------------------------------------------------------ V3 and its forks

    function test_pools_of_all_names_are_paid_in_their_callback() public {
        string[3] memory names = [
            "uniswapV3SwapCallback(int256,int256,bytes)",
            "pancakeV3SwapCallback(int256,int256,bytes)",
            "algebraSwapCallback(int256,int256,bytes)"
        ];
        ForkPool fork = _pool(V3, 3000);
        for (uint256 i = 0; i < 3; ++i) {
            fork.set(names[i], first, second);
            uint256 before = weth.balanceOf(address(fork));
            bytes memory swap =
                Ops.swapV3(Ops.none(), address(this), address(weth), address(usd), Ops.lit(1 ether), 1, "");
            _swap(swap, 1 ether);
            assertEq(weth.balanceOf(address(fork)) - before, 1 ether);
        }
    }

    function test_a_fee_of_zero_means_the_only_pool_of_the_pair() public {
        ForkPool fork = _pool(ALGEBRA, 0);
        fork.set("algebraSwapCallback(int256,int256,bytes)", first, second);
        bytes memory head = abi.encodePacked(uint8(5), uint8(0), uint24(0), address(this), usd, weth);
        _swapUsd(bytes.concat(head, Ops.lit(1 ether), Ops.lit(1 ether), hex"00000000"), 1 ether);
        assertEq(usd.balanceOf(address(fork)), 1_001 ether);
    }

    function test_strangers_cannot_call_back() public {
        bytes[6] memory calls = [
            abi.encodeCall(executor.uniswapV2Call, (address(executor), 1, 0, "")),
            abi.encodeCall(executor.pancakeCall, (address(executor), 1, 0, "")),
            abi.encodeCall(executor.hook, (address(executor), 1, 0, "")),
            abi.encodeCall(executor.uniswapV3SwapCallback, (1, 0, "")),
            abi.encodeCall(executor.pancakeV3SwapCallback, (1, 0, "")),
            abi.encodeCall(executor.algebraSwapCallback, (1, 0, ""))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(stranger);
            (bool ok, bytes memory answer) = address(executor).call(calls[i]);
            assertFalse(ok);
            assertEq(
                answer, abi.encodeWithSelector(Scratch.CallbackNotArmed.selector, stranger, bytes4(calls[i]))
            );
        }
    }

    // ------------------------------------------------------------------------- internal

    /// @dev Where the factory's kind puts the pool of the pair.
    function _pool(uint8 kind, uint24 variant) private returns (ForkPool fork) {
        bytes32 salt = keccak256(abi.encodePacked(first, second));
        if (kind == V3) salt = keccak256(abi.encode(first, second, variant));
        if (kind == SOLIDLY) salt = keccak256(abi.encodePacked(first, second, variant == 1));
        if (kind == ALGEBRA) salt = keccak256(abi.encode(first, second));
        fork = new ForkPool{salt: salt}();
        usd.mint(address(fork), 1_000 ether);
        weth.transfer(address(fork), 1_000 ether);
        bytes32 codeHash = keccak256(type(ForkPool).creationCode);
        vm.prank(owner);
        registry.setFactory(address(executor), address(this), kind, codeHash, kind == V2 ? 3000 : 0, false);
    }

    function _onPair(bytes memory amountIn, uint256 minOut, bytes memory nested)
        private
        view
        returns (bytes memory)
    {
        return Ops.swapV2(Ops.none(), address(this), address(weth), address(usd), amountIn, minOut, nested);
    }

    function _quoted(uint8 kind, uint8 variant, uint256 minOut, bytes memory nested)
        private
        view
        returns (bytes memory)
    {
        bytes memory head = abi.encodePacked(uint8(6), uint8(0), kind, variant, address(this), weth, usd);
        return bytes.concat(
            head, Ops.lit(1 ether), Ops.lit(minOut), abi.encodePacked(uint24(nested.length)), nested
        );
    }

    function _nothing() private view returns (bytes memory) {
        return Ops.call(address(weth), Ops.lit(0), abi.encodeWithSignature("deposit()"));
    }

    function _swap(bytes memory operation, uint256 outflow) private {
        _land(Ops.stream(operation), _bound(1, address(weth), outflow));
        weth.transfer(address(executor), 10 ether - weth.balanceOf(address(executor)));
    }

    function _swapUsd(bytes memory operation, uint256 outflow) private {
        _land(Ops.stream(operation), _bound(1, address(usd), outflow));
    }
}
