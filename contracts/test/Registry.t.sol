// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {IPolicyRegistry} from "../src/IPolicyRegistry.sol";
import {PolicyRegistry} from "../src/PolicyRegistry.sol";
import {Signatures} from "../src/Signatures.sol";
import {Tokens} from "../src/Tokens.sol";
import {TwoStepOwner} from "../src/TwoStepOwner.sol";
import {Target} from "./support/Targets.sol";
import {TestToken} from "./support/TestToken.sol";
import {World} from "./support/World.sol";

contract RegistryTest is World {
    Target internal target;
    bytes4 internal constant NOTE = Target.note.selector;

    function setUp() public override {
        super.setUp();
        target = new Target();
    }

    // ------------------------------------------------------------------- listing

    function test_dynamic_arguments_cannot_be_listed() public {
        string[6] memory signatures = [
            "f(bytes)",
            "f(uint256,string)",
            "multicall(bytes[])",
            "f(uint256[])",
            "f((uint256,bytes))",
            "f(uint256[2])"
        ];
        for (uint256 i = 0; i < signatures.length; ++i) {
            _listRefused(
                signatures[i], 1, abi.encodeWithSelector(Signatures.DynamicPart.selector, signatures[i])
            );
        }
    }

    function test_malformed_signatures_cannot_be_listed() public {
        string[10] memory signatures = [
            "",
            "f",
            "(uint256)",
            "f(uint256",
            "f(uint256,)",
            "f(,uint256)",
            "f(uint256))",
            "f(a)b)",
            "f((a)",
            "f(a)(b)"
        ];
        for (uint256 i = 0; i < signatures.length; ++i) {
            _listRefused(
                signatures[i],
                1,
                abi.encodeWithSelector(Signatures.MalformedSignature.selector, signatures[i])
            );
        }
    }

    function test_approving_and_delegating_cannot_be_listed() public {
        string[7] memory signatures = [
            "approve(address,uint256)",
            "transferFrom(address,address,uint256)",
            "increaseAllowance(address,uint256)",
            "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)",
            "setApprovalForAll(address,bool)",
            "approveDelegation(address,uint256)",
            "setAuthorization(address,bool)"
        ];
        for (uint256 i = 0; i < signatures.length; ++i) {
            _listRefused(
                signatures[i], 2, abi.encodeWithSelector(Signatures.NotAnOrdinaryCall.selector, signatures[i])
            );
        }
    }

    function test_static_words_are_counted_tuples_included() public {
        _list("f(bytes32,bytes4)", 2);
        _list("f((address,uint256),bool)", 3);
        _list("f()", 0);
        _listRefused(
            "f((address,uint256),bool)",
            2,
            abi.encodeWithSelector(PolicyRegistry.WrongRuleCount.selector, 3, 2)
        );
    }

    function test_codeless_and_our_own_targets_cannot_be_listed() public {
        PolicyRegistry.Entry memory entry = _entry(_rules(0, 5, 0), 0, false);
        vm.startPrank(owner);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.NoCode.selector, stranger));
        registry.list(address(executor), stranger, "f()", entry);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.TargetIsOurOwn.selector, address(executor)));
        registry.list(address(executor), address(executor), "f()", entry);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.TargetIsOurOwn.selector, address(registry)));
        registry.list(address(executor), address(registry), "f()", entry);
    }

    function test_other_versions_and_rules_are_refused() public {
        PolicyRegistry.Entry memory entry = _entry(_rules(1, 6, 0), 0, false);
        vm.startPrank(owner);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.UnsupportedRule.selector, 0, 6));
        registry.list(address(executor), address(target), "f(uint256)", entry);
        entry.version = 2;
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.UnsupportedVersion.selector, 2));
        registry.list(address(executor), address(target), "f(uint256)", entry);
    }

    function test_only_the_owner_writes() public {
        bytes memory reason = abi.encodeWithSelector(TwoStepOwner.NotOwner.selector, address(this));
        vm.expectRevert(reason);
        registry.list(address(executor), address(target), "f()", _entry(_rules(0, 5, 0), 0, false));
        vm.expectRevert(reason);
        registry.unlist(address(executor), address(target), NOTE);
        vm.expectRevert(reason);
        registry.setMembers(1, new uint256[](0), true);
        vm.expectRevert(reason);
        registry.setToken(address(executor), address(usd), 1, true);
        vm.expectRevert(reason);
        registry.setLender(address(executor), vault, 1);
        vm.expectRevert(reason);
        registry.setFactory(address(executor), v2Factory, 1, 0, 0, false);
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
        assertEq(_admitted(data, 0), word == uint160(address(executor)));
        _listNote(3, operand);
        assertFalse(_admitted(data, 0));
        uint256[] memory members = new uint256[](1);
        members[0] = word;
        vm.prank(owner);
        registry.setMembers(operand, members, true);
        assertTrue(_admitted(data, 0));
        vm.prank(owner);
        registry.setMembers(operand, members, false);
        assertFalse(_admitted(data, 0));
    }

    function testFuzz_spliced_words_pass_le_and_any_only(uint8 kind, uint256 mask) public {
        kind = uint8(bound(kind, 1, 5));
        _listNote(kind, 0);
        uint256 word = kind == 2 ? uint160(address(executor)) : 0;
        uint256[] memory zero = new uint256[](1);
        vm.prank(owner);
        registry.setMembers(0, zero, true);
        assertEq(_admitted(abi.encodeCall(Target.note, (word, word)), mask), kind >= 4 || mask & 3 == 0);
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
        vm.startPrank(address(executor));
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.CalldataTooShort.selector, 3));
        registry.checkCall(address(target), 0, hex"010203", 0, false);
        vm.etch(address(target), "");
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.NoCode.selector, address(target)));
        registry.checkCall(address(target), 0, abi.encodeCall(Target.note, (1, 1)), 0, false);
    }

    function test_a_listing_is_for_one_executor_and_can_be_revoked() public {
        _listNote(5, 0);
        bytes memory data = abi.encodeCall(Target.note, (1, 1));
        vm.expectRevert(
            abi.encodeWithSelector(PolicyRegistry.NotListed.selector, address(this), address(target), NOTE)
        );
        registry.checkCall(address(target), 0, data, 0, false);
        assertEq(registry.listingOf(address(executor), address(target), NOTE).rules.length, 2);
        vm.prank(owner);
        registry.unlist(address(executor), address(target), NOTE);
        assertFalse(_admitted(data, 0));
        assertEq(registry.listingOf(address(executor), address(target), NOTE).version, 0);
    }

    // ---------------------------------------------------------- tokens and factories

    function test_tracked_tokens_are_bounded_and_removable() public {
        vm.startPrank(owner);
        for (uint256 i = 3; i < registry.MAX_TRACKED_TOKENS(); ++i) {
            registry.setToken(address(executor), address(new TestToken("T")), 1, false);
        }
        address last = address(new TestToken("T"));
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.TooManyTokens.selector, 16));
        registry.setToken(address(executor), last, 1, false);

        registry.setToken(address(executor), address(weth), 0, false);
        registry.setToken(address(executor), last, 3, false);
        uint256[] memory tracked = registry.trackedTokens(address(executor));
        assertEq(tracked.length, 16);
        assertEq(tracked[0], uint256(1) << 160 | uint160(Tokens.NATIVE));
        assertEq(tracked[15], uint256(3) << 160 | uint160(last));
        for (uint256 i = 1; i < 16; ++i) {
            assertNotEq(address(uint160(tracked[i])), address(weth));
            (uint8 class,, uint8 position) = registry.tokens(address(executor), address(uint160(tracked[i])));
            assertEq(position, i);
            assertEq(class, tracked[i] >> 160);
        }
    }

    function test_absurd_tokens_lenders_and_factories_are_refused() public {
        vm.startPrank(owner);
        vm.expectRevert(PolicyRegistry.NativeIsAlwaysTracked.selector);
        registry.setToken(address(executor), Tokens.NATIVE, 1, false);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.UnknownClass.selector, 4));
        registry.setToken(address(executor), address(usd), 4, false);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.AllowanceOnDebt.selector, address(usd)));
        registry.setToken(address(executor), address(usd), 3, true);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.NoCode.selector, stranger));
        registry.setToken(address(executor), stranger, 1, false);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.TokenUntracked.selector, stranger));
        registry.setToken(address(executor), stranger, 0, false);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.UnknownKind.selector, 2));
        registry.setLender(address(executor), vault, 2);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.NoCode.selector, stranger));
        registry.setLender(address(executor), stranger, 1);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.UnknownKind.selector, 3));
        registry.setFactory(address(executor), v2Factory, 3, 0, 0, false);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.FeeOutOfRange.selector, 1_000_000));
        registry.setFactory(address(executor), v2Factory, 1, 0, 1_000_000, false);
        vm.expectRevert(abi.encodeWithSelector(PolicyRegistry.FeeOutOfRange.selector, 1));
        registry.setFactory(address(executor), v3Factory, 2, 0, 1, false);
    }

    function test_pools_are_the_factories_own() public {
        vm.startPrank(address(executor));
        (address found, uint256 feePpm) = registry.poolOf(1, v2Factory, address(usd), address(weth), 0, false);
        assertEq(found, pair);
        assertEq(feePpm, 3000);
        (found, feePpm) = registry.poolOf(2, v3Factory, address(weth), address(usd), 3000, false);
        assertEq(found, pool);
        vm.expectPartialRevert(PolicyRegistry.NoPool.selector);
        registry.poolOf(2, v3Factory, address(weth), address(usd), 500, false);
    }

    // ------------------------------------------------------------------- internal

    function _rules(uint256 count, uint8 kind, uint256 operand)
        private
        pure
        returns (PolicyRegistry.Rule[] memory rules)
    {
        rules = new PolicyRegistry.Rule[](count);
        for (uint256 i = 0; i < count; ++i) {
            rules[i] = PolicyRegistry.Rule(kind, operand);
        }
    }

    function _list(string memory signature, uint256 words) private {
        vm.prank(owner);
        registry.list(address(executor), address(target), signature, _entry(_rules(words, 5, 0), 0, false));
    }

    function _listNote(uint8 kind, uint256 operand) private {
        vm.prank(owner);
        registry.list(
            address(executor),
            address(target),
            "note(uint256,uint256)",
            _entry(_rules(2, kind, operand), 0, false)
        );
    }

    function _listRefused(string memory signature, uint256 words, bytes memory reason) private {
        vm.expectRevert(reason);
        _list(signature, words);
    }

    function _admitted(bytes memory data, uint256 spliced) private returns (bool) {
        vm.prank(address(executor));
        try registry.checkCall(address(target), 0, data, spliced, false) {
            return true;
        } catch {
            return false;
        }
    }
}
