// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {PolicyRegistry} from "../src/PolicyRegistry.sol";
import {Signatures} from "../src/Signatures.sol";
import {Tokens} from "../src/Tokens.sol";
import {TwoStepOwner} from "../src/TwoStepOwner.sol";
import {PolicyWorld, TestParser} from "./support/PolicyWorld.sol";
import {Target} from "./support/Targets.sol";
import {TestToken} from "./support/TestToken.sol";

/// @dev Creates pools as factories do: CREATE2, under whatever salt.
contract PoolFactory {
    function create(bytes32 salt) external returns (address) {
        return address(new TestPool{salt: salt}());
    }
}

contract TestPool {}

/// @dev Answers less than a word.
contract MuteToken {
    fallback() external {}
}

contract RegistryTest is PolicyWorld {
    bytes4 internal constant NOTE = Target.note.selector;

    // ------------------------------------------------------------------- listing

    function test_dynamic_arguments_need_the_second_version() public {
        PolicyRegistry.Rule[] memory rules = _rules(1, 1, 0);
        PolicyRegistry.Entry memory entry = _entry(rules);
        entry.version = 1;
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.DynamicPart.selector, "f(bytes)"));
        vm.prank(owner);
        registry.list(executor, address(target), "f(bytes)", entry);
        _list("f(bytes)", rules);
        entry.rules = _rules(2, 5, 0);
        vm.prank(owner);
        registry.list(executor, address(target), "note(uint256,uint256)", entry);
        assertTrue(_admitted(abi.encodeCall(Target.note, (1, 1)), 0));
        entry.version = 3;
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.UnsupportedVersion.selector, 3));
        vm.prank(owner);
        registry.list(executor, address(target), "note(uint256,uint256)", entry);
    }

    function test_what_no_rule_can_cover_cannot_be_listed() public {
        string[7] memory signatures = [
            "multicall(bytes[])",
            "f(string[2])",
            "f(uint256[][])",
            "f(uint256[][3])",
            "f((uint256,bytes)[])",
            "f((uint256[],uint8)[2])",
            "f(bytes[][2])"
        ];
        for (uint256 i = 0; i < signatures.length; ++i) {
            _listRefused(
                signatures[i],
                _rules(4, 5, 0),
                abi.encodeWithSelector(Signatures.NotCovered.selector, signatures[i])
            );
        }
    }

    function test_malformed_signatures_cannot_be_listed() public {
        string[23] memory signatures = [
            "",
            "f",
            "(uint256)",
            "f(uint256",
            "f(uint256,)",
            "f(,uint256)",
            "f(uint256))",
            "f(bool)b)",
            "f((bool)",
            "f(bool)(bool)",
            "f(())",
            "f(uint256 )",
            "f(uint256[)",
            "f(uint256[1)",
            "f(uint256[0])",
            "f(uint256[01])",
            "f(uint256[1000])",
            "f(uint256]",
            "f(uint0256)",
            "f(uint2560)",
            "f(bytes0)",
            "f(U)",
            "f()()"
        ];
        for (uint256 i = 0; i < signatures.length; ++i) {
            _listRefused(
                signatures[i],
                _rules(1, 5, 0),
                abi.encodeWithSelector(Signatures.MalformedSignature.selector, signatures[i])
            );
        }
    }

    function test_types_that_the_abi_does_not_name_cannot_be_listed() public {
        string[13] memory signatures = [
            "f(uint)",
            "f(int)",
            "f(uint7)",
            "f(int257)",
            "f(uint264)",
            "f(bytes33)",
            "f(string1)",
            "f(address20)",
            "f(bool8)",
            "f(function)",
            "f(uin256)",
            "f(fixed)",
            "f(8)"
        ];
        for (uint256 i = 0; i < signatures.length; ++i) {
            _listRefused(
                signatures[i],
                _rules(1, 5, 0),
                abi.encodeWithSelector(Signatures.UnknownType.selector, signatures[i], 2)
            );
        }
    }

    function test_approving_and_delegating_cannot_be_listed() public {
        string[32] memory signatures = [
            "approve(address,uint256)",
            "approve(address,address,uint160,uint48)",
            "transferFrom(address,address,uint256)",
            "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)",
            "increaseAllowance(address,uint256)",
            "decreaseAllowance(address,uint256)",
            "increaseApproval(address,uint256)",
            "decreaseApproval(address,uint256)",
            "setApprovalForAll(address,bool)",
            "safeTransferFrom(address,address,uint256)",
            "safeBatchTransferFrom(address,address)",
            "approveAndCall(address,uint256)",
            "transferOwnership(address)",
            "approveDelegation(address,uint256)",
            "delegationWithSig(address)",
            "delegate(address)",
            "delegateBySig(address)",
            "setRelayerApproval(address,address,bool)",
            "setAuthorization(address,bool)",
            "setAuthorizationWithSig(address)",
            "allow(address,bool)",
            "allowBySig(address)",
            "hope(address)",
            "authorizeOperator(address)",
            "operatorSend(address)",
            "setOperator(address,bool)",
            "setManager(address,bool)",
            "setOwner(address)",
            "approvePositionManager(address,bool)",
            "setUserUseReserveAsCollateralOnBehalfOf(address)",
            // Forged names with the selectors of `approve` and `transferFrom`.
            "sign_szabo_bytecode(bytes16,uint128)",
            "gasprice_bit_ether(int128)"
        ];
        for (uint256 i = 0; i < signatures.length; ++i) {
            uint256 words = 1;
            for (uint256 j = 0; j < bytes(signatures[i]).length; ++j) {
                if (bytes(signatures[i])[j] == ",") ++words;
            }
            _listRefused(
                signatures[i],
                _rules(words, 5, 0),
                abi.encodeWithSelector(Signatures.NotAnOrdinaryCall.selector, signatures[i])
            );
        }
    }

    function test_static_words_are_counted_tuples_and_arrays_included() public {
        _list("f(bytes32,bytes4)", _rules(2, 5, 0));
        _list("f((address,uint256),bool)", _rules(3, 5, 0));
        _list("f(uint256[3],(int24,bool)[2])", _rules(7, 5, 0));
        _list("f(uint8[2][3])", _rules(6, 5, 0));
        _list("f()", _rules(0, 5, 0));
        _listRefused(
            "f((address,uint256),bool)",
            _rules(2, 5, 0),
            abi.encodeWithSelector(PolicyRegistry.WrongRuleCount.selector, 3, 2)
        );
        _listRefused(
            "f(uint256[33])",
            _rules(2, 5, 0),
            abi.encodeWithSelector(Signatures.ShapeTooLong.selector, "f(uint256[33])", 32)
        );
    }

    function test_codeless_and_our_own_targets_cannot_be_listed() public {
        PolicyRegistry.Entry memory entry = _entry(_rules(0, 5, 0));
        vm.startPrank(owner);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.NoCode.selector, stranger));
        registry.list(executor, stranger, "f()", entry);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.TargetIsOurOwn.selector, executor));
        registry.list(executor, executor, "f()", entry);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.TargetIsOurOwn.selector, address(registry)));
        registry.list(executor, address(registry), "f()", entry);
    }

    function test_only_the_owner_writes() public {
        bytes memory reason = abi.encodeWithSelector(TwoStepOwner.NotOwner.selector, address(this));
        vm.expectRevert(reason);
        registry.list(executor, address(target), "f()", _entry(_rules(0, 5, 0)));
        vm.expectRevert(reason);
        registry.unlist(executor, address(target), NOTE);
        vm.expectRevert(reason);
        registry.setMembers(executor, 1, new uint256[](0), true);
        vm.expectRevert(reason);
        registry.setToken(executor, address(usd), 1, true);
        vm.expectRevert(reason);
        registry.setLender(executor, address(target), 1);
        vm.expectRevert(reason);
        registry.setFactory(executor, address(target), 1, 0, 0, false);
    }

    // --------------------------------------------------------------------- words

    function testFuzz_each_rule_admits_exactly_what_it_says(uint256 word, uint256 operand) public {
        bytes memory data = abi.encodeCall(Target.note, (word, word));
        _listNote(1, operand);
        assertEq(_admitted(data, 0), word == operand);
        _listNote(4, operand);
        assertEq(_admitted(data, 0), word <= operand);
        _listNote(5, operand);
        assertTrue(_admitted(data, 0));
        _listNote(2, operand);
        assertEq(_admitted(data, 0), word == uint160(executor));
        _listNote(3, operand);
        assertFalse(_admitted(data, 0));
        _members(operand, word, true);
        assertTrue(_admitted(data, 0));
        _members(operand, word, false);
        assertFalse(_admitted(data, 0));
    }

    function testFuzz_spliced_words_pass_le_and_any_only(uint8 kind, uint256 mask) public {
        kind = uint8(bound(kind, 1, 5));
        _listNote(kind, 0);
        uint256 word = kind == 2 ? uint160(executor) : 0;
        _members(0, 0, true);
        bytes memory data = abi.encodeCall(Target.note, (word, word));
        assertEq(_admitted(data, mask & 3), kind >= 4 || mask & 3 == 0);
        // What is not an argument cannot have been spliced.
        assertEq(_admitted(data, mask & ~uint256(3)), mask & ~uint256(3) == 0);
    }

    function testFuzz_calldata_has_exactly_the_listed_length(uint16 length) public {
        _listNote(5, 0);
        length = uint16(bound(length, 4, 200));
        bytes memory data = new bytes(length);
        for (uint256 i = 0; i < 4; ++i) {
            data[i] = NOTE[i];
        }
        assertEq(_admitted(data, 0), length == 68);
    }

    function test_short_calldata_and_vanished_code_are_refused() public {
        _listNote(5, 0);
        _refused(hex"010203", 0, abi.encodeWithSelector(PolicyRegistry.CalldataTooShort.selector, 3));
        vm.etch(address(target), "");
        _refused(
            abi.encodeCall(Target.note, (1, 1)),
            0,
            abi.encodeWithSelector(PolicyRegistry.NoCode.selector, address(target))
        );
    }

    function test_native_value_reduce_and_spender_are_part_of_a_listing() public {
        PolicyRegistry.Entry memory entry = _entry(_rules(2, 5, 0));
        (entry.maxNative, entry.spender) = (5, stranger);
        vm.startPrank(owner);
        registry.list(executor, address(target), "note(uint256,uint256)", entry);
        registry.setToken(executor, address(usd), 1, true);
        vm.startPrank(executor);
        bytes memory data = abi.encodeCall(Target.note, (1, 1));
        registry.checkCall(address(target), 5, data, 0, false);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.NativeAboveMaximum.selector, 6, 5));
        registry.checkCall(address(target), 6, data, 0, false);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.NotReducing.selector, address(target), NOTE));
        registry.checkCall(address(target), 0, data, 0, true);
        registry.checkAllowance(address(target), NOTE, address(usd), stranger);
        vm.expectRevert(
            abi.encodeWithSelector(PolicyRegistry.SpenderRefused.selector, address(target), stranger)
        );
        registry.checkAllowance(address(target), NOTE, address(usd), address(target));
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.AllowanceRefused.selector, address(weth)));
        registry.checkAllowance(address(target), NOTE, address(weth), stranger);
        vm.startPrank(owner);
        (entry.reduce, entry.spender) = (true, address(0));
        registry.list(executor, address(target), "note(uint256,uint256)", entry);
        vm.startPrank(executor);
        registry.checkCall(address(target), 0, data, 0, true);
        registry.checkAllowance(address(target), NOTE, address(usd), address(target));
    }

    function test_a_listing_is_for_one_policy_and_can_be_revoked() public {
        _listNote(5, 0);
        bytes memory data = abi.encodeCall(Target.note, (1, 1));
        vm.expectRevert(
            abi.encodeWithSelector(PolicyRegistry.NotListed.selector, address(this), address(target), NOTE)
        );
        registry.checkCall(address(target), 0, data, 0, false);
        uint256[] memory listed = registry.listingsOf(executor);
        assertEq(listed.length, 1);
        assertEq(listed[0], uint256(uint32(NOTE)) << 160 | uint160(address(target)));
        _unlist("note(uint256,uint256)");
        assertFalse(_admitted(data, 0));
        assertEq(registry.listingsOf(executor).length, 0);
        (string memory signature, PolicyRegistry.Entry memory entry) =
            registry.listingOf(executor, address(target), NOTE);
        assertEq(signature, "");
        assertEq(entry.version, 0);
    }

    function test_a_shared_policy_cannot_turn_an_executor_on_itself() public {
        vm.etch(executor, hex"00");
        address shared = makeAddr("shared");
        vm.startPrank(owner);
        registry.list(shared, executor, "f()", _entry(_rules(0, 5, 0)));
        registry.bind(executor, shared);
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.TargetIsOurOwn.selector, executor));
        vm.prank(executor);
        registry.checkCall(executor, 0, abi.encodeWithSignature("f()"), 0, false);
    }

    // ---------------------------------------------------------- tokens and factories

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

    // ------------------------------------------------------------------- sealed

    function test_sealed_listings_wait_but_revocation_does_not() public {
        _listNote(4, 7);
        _seal();
        _unlist("note(uint256,uint256)");
        PolicyRegistry.Rule[] memory rules = _rules(2, 4, 7);
        _loosens(_listCall(_entry(rules)));
        assertTrue(_admitted(abi.encodeCall(Target.note, (7, 7)), 0));
    }

    function test_sealed_listings_tighten_at_once_and_loosen_late() public {
        PolicyRegistry.Entry memory entry = _entry(_rules(2, 5, 0));
        (entry.reduce, entry.maxNative) = (true, 5);
        _write(_listCall(entry));
        _seal();
        _write(_listCall(entry));
        (entry.reduce, entry.maxNative) = (false, 4);
        _write(_listCall(entry));
        entry.rules[0] = _rule(4, 9);
        _write(_listCall(entry));
        entry.rules[0] = _rule(4, 8);
        entry.rules[1] = _rule(3, 1);
        _write(_listCall(entry));

        entry.reduce = true;
        _waits(_listCall(entry));
        (entry.reduce, entry.maxNative) = (false, 5);
        _waits(_listCall(entry));
        (entry.maxNative, entry.spender) = (4, stranger);
        _waits(_listCall(entry));
        (entry.spender, entry.rules[0]) = (address(0), _rule(4, 9));
        _waits(_listCall(entry));
        (entry.rules[0], entry.rules[1]) = (_rule(4, 8), _rule(3, 2));
        _waits(_listCall(entry));
        entry.rules[1] = _rule(1, 1);
        _waits(_listCall(entry));
        entry.rules[1] = _rule(5, 0);
        _loosens(_listCall(entry));
    }

    function test_sealed_lengths_tighten_at_once_and_loosen_late() public {
        PolicyRegistry.Rule[] memory rules = _rules(2, 5, 0);
        rules[0] = _rule(6, 4);
        _list("f(uint256[])", rules);
        _seal();
        rules[0] = _rule(6, 3);
        _list("f(uint256[])", rules);
        rules[0] = _rule(6, 4);
        vm.expectPartialRevert(bytes4(keccak256("NotProposed(bytes32)")));
        _list("f(uint256[])", rules);
    }

    function test_sealed_parsed_bytes_tighten_at_once_and_loosen_late() public {
        uint256 parser = uint160(address(new TestParser()));
        PolicyRegistry.Rule[] memory rules = _rules(2, 5, 0);
        rules[0] = _rule(7, 64 << 160 | parser);
        _list("f(bytes)", rules);
        _seal();
        rules[0] = _rule(7, 63 << 160 | parser);
        _list("f(bytes)", rules);
        bytes4 notProposed = bytes4(keccak256("NotProposed(bytes32)"));
        uint256[2] memory wider = [64 << 160 | parser, 63 << 160 | uint160(address(new TestParser()))];
        for (uint256 i = 0; i < wider.length; ++i) {
            rules[0] = _rule(7, wider[i]);
            vm.expectPartialRevert(notProposed);
            _list("f(bytes)", rules);
        }
        // One content instead of a form is narrower perhaps, but nobody compares them.
        vm.expectPartialRevert(notProposed);
        _list("f(bytes)", _rules(1, 1, 5));
    }

    function test_sealed_sets_shrink_at_once_and_grow_late() public {
        _members(1, 5, true);
        _seal();
        _members(1, 5, true);
        _members(1, 5, false);
        _loosens(abi.encodeCall(PolicyRegistry.setMembers, (executor, 1, _one(5), true)));
    }

    function test_sealed_tokens_lose_their_allowance_at_once_and_the_rest_waits() public {
        _write(_token(address(usd), 1, true));
        _write(_token(address(weth), 2, false));
        _seal();
        _write(_token(address(usd), 1, true));
        _write(_token(address(usd), 1, false));
        _waits(_token(address(usd), 1, true));
        _waits(_token(address(usd), 2, false));
        _waits(_token(address(new TestToken("T")), 1, false));
        // Tracking protects: a token that still answers is not dropped in a hurry.
        _loosens(_token(address(usd), 0, false));
    }

    function test_a_token_that_answers_no_longer_is_dropped_at_once() public {
        _write(_token(address(usd), 1, false));
        _write(_token(address(weth), 1, false));
        _seal();
        vm.etch(address(usd), address(new MuteToken()).code);
        _write(_token(address(usd), 0, false));
        vm.etch(address(weth), hex"fe");
        _write(_token(address(weth), 0, false));
        assertEq(registry.trackedTokens(executor).length, 1);
    }

    function test_sealed_lenders_and_factories_go_at_once_and_come_late() public {
        address place = address(target);
        _write(_lender(place, 1));
        _write(_factoryCall(place, 1, 3000, true));
        _seal();
        _write(_lender(place, 1));
        _waits(_lender(place, 2));
        _write(_lender(place, 0));
        _write(_factoryCall(place, 1, 3000, false));
        _waits(_factoryCall(place, 1, 3000, true));
        _waits(_factoryCall(place, 1, 3001, false));
        _waits(_factoryCall(place, 4, 0, false));
        _waits(
            abi.encodeCall(PolicyRegistry.setFactory, (executor, place, 1, bytes32(uint256(1)), 3000, false))
        );
        _write(_factoryCall(place, 0, 0, false));
        _loosens(_lender(place, 1));
        _loosens(_factoryCall(place, 1, 3000, false));
    }

    // ------------------------------------------------------------------- internal

    function _waits(bytes memory call) private {
        _writeRefused(call, abi.encodeWithSignature("NotProposed(bytes32)", keccak256(call)));
    }

    function _listNote(uint8 kind, uint256 operand) private {
        _list("note(uint256,uint256)", _rules(2, kind, operand));
    }

    function _listCall(PolicyRegistry.Entry memory entry) private view returns (bytes memory) {
        return
            abi.encodeCall(PolicyRegistry.list, (executor, address(target), "note(uint256,uint256)", entry));
    }

    function _token(address token, uint8 class, bool allowance) private view returns (bytes memory) {
        return abi.encodeCall(PolicyRegistry.setToken, (executor, token, class, allowance));
    }

    function _lender(address lender, uint8 kind) private view returns (bytes memory) {
        return abi.encodeCall(PolicyRegistry.setLender, (executor, lender, kind));
    }

    function _factoryCall(address factory, uint8 kind, uint24 feePpm, bool reduce)
        private
        view
        returns (bytes memory)
    {
        return abi.encodeCall(
            PolicyRegistry.setFactory,
            (executor, factory, kind, keccak256(type(TestPool).creationCode), feePpm, reduce)
        );
    }

    function _factory(address factory, uint8 kind, uint24 feePpm, bool reduce) private {
        _write(_factoryCall(factory, kind, feePpm, reduce));
    }

    function _trade() private {
        _write(_token(address(usd), 1, false));
        _write(_token(address(weth), 1, false));
    }

    function _sorted() private view returns (address, address) {
        return usd < weth ? (address(usd), address(weth)) : (address(weth), address(usd));
    }

    function _one(uint256 value) private pure returns (uint256[] memory list) {
        list = new uint256[](1);
        list[0] = value;
    }
}
