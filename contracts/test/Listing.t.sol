// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {PolicyRegistry} from "../src/PolicyRegistry.sol";
import {Signatures} from "../src/Signatures.sol";
import {TwoStepOwner} from "../src/TwoStepOwner.sol";
import {PolicyWorld} from "./support/PolicyWorld.sol";
import {Target} from "./support/Targets.sol";

/// @dev What may be listed, and which calls a listing with static words admits.
contract ListingTest is PolicyWorld {
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
}
