// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {PolicyRegistry} from "../src/PolicyRegistry.sol";
import {PolicyWorld, TestParser} from "./support/PolicyWorld.sol";
import {Target} from "./support/Targets.sol";
import {TestToken} from "./support/TestToken.sol";

/// @dev Answers less than a word.
contract MuteToken {
    fallback() external {}
}

/// @dev What tightens a sealed policy, and what loosens it, entry by entry.
contract LooseningTest is PolicyWorld {
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
        _write(_tokenCall(address(usd), 1, true));
        _write(_tokenCall(address(weth), 2, false));
        _seal();
        _write(_tokenCall(address(usd), 1, true));
        _write(_tokenCall(address(usd), 1, false));
        _waits(_tokenCall(address(usd), 1, true));
        _waits(_tokenCall(address(usd), 2, false));
        _waits(_tokenCall(address(new TestToken("T")), 1, false));
        // Tracking protects: a token that still answers is not dropped in a hurry.
        _loosens(_tokenCall(address(usd), 0, false));
    }

    function test_a_token_that_answers_no_longer_is_dropped_at_once() public {
        _write(_tokenCall(address(usd), 1, false));
        _write(_tokenCall(address(weth), 1, false));
        _seal();
        vm.etch(address(usd), address(new MuteToken()).code);
        _write(_tokenCall(address(usd), 0, false));
        vm.etch(address(weth), hex"fe");
        _write(_tokenCall(address(weth), 0, false));
        assertEq(registry.trackedTokens(executor).length, 1);
    }

    function test_sealed_lenders_and_factories_go_at_once_and_come_late() public {
        address place = address(target);
        _write(_lenderCall(place, 1));
        _write(_factoryCall(place, 1, 3000, true));
        _seal();
        _write(_lenderCall(place, 1));
        _waits(_lenderCall(place, 2));
        _write(_lenderCall(place, 0));
        _write(_factoryCall(place, 1, 3000, false));
        _waits(_factoryCall(place, 1, 3000, true));
        _waits(_factoryCall(place, 1, 3001, false));
        _waits(_factoryCall(place, 4, 0, false));
        _waits(
            abi.encodeCall(PolicyRegistry.setFactory, (executor, place, 1, bytes32(uint256(1)), 3000, false))
        );
        _write(_factoryCall(place, 0, 0, false));
        _loosens(_lenderCall(place, 1));
        _loosens(_factoryCall(place, 1, 3000, false));
    }

    // ------------------------------------------------------------------- internal

    function _waits(bytes memory call) private {
        _writeRefused(call, abi.encodeWithSignature("NotProposed(bytes32)", keccak256(call)));
    }

    function _listCall(PolicyRegistry.Entry memory entry) private view returns (bytes memory) {
        return
            abi.encodeCall(PolicyRegistry.list, (executor, address(target), "note(uint256,uint256)", entry));
    }

    function _lenderCall(address lender, uint8 kind) private view returns (bytes memory) {
        return abi.encodeCall(PolicyRegistry.setLender, (executor, lender, kind));
    }
}
