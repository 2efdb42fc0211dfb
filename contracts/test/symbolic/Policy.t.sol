// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {Test} from "forge-std/Test.sol";

import {PolicyRegistry} from "../../src/PolicyRegistry.sol";

/// @dev What `checkCall` admits keeps to the listing, for any words; arrays and bytes at the lengths tried here.
contract PolicySymbolicTest is Test {
    address private constant OWNER = address(0x1001);
    address private constant EXECUTOR = address(0x1002);
    uint256 private constant EQUAL = 7;
    uint256 private constant MOST = 1000;
    uint256 private constant MEMBER = 11;
    uint256 private constant OTHER_MEMBER = 13;
    uint256 private constant MAX_NATIVE = 5;

    PolicyRegistry private registry;
    bytes4 private immutable words = bytes4(keccak256("words(uint256,address,uint256,uint256,uint256)"));
    bytes4 private immutable dynamic = bytes4(keccak256("dynamic(uint256,uint256[],bytes)"));
    bytes4 private immutable tuple = bytes4(keccak256("tuple((uint256,uint256[]),uint256)"));

    function setUp() public {
        registry = new PolicyRegistry(OWNER);
        vm.startPrank(OWNER);
        uint256[] memory members = new uint256[](2);
        (members[0], members[1]) = (MEMBER, OTHER_MEMBER);
        registry.setMembers(EXECUTOR, 3, members, true);
        PolicyRegistry.Rule[] memory rules = new PolicyRegistry.Rule[](5);
        rules[0] = PolicyRegistry.Rule(1, EQUAL);
        rules[1] = PolicyRegistry.Rule(2, 0);
        rules[2] = PolicyRegistry.Rule(3, 3);
        rules[3] = PolicyRegistry.Rule(4, MOST);
        rules[4] = PolicyRegistry.Rule(5, 0);
        _list("words(uint256,address,uint256,uint256,uint256)", rules);
        rules = new PolicyRegistry.Rule[](4);
        rules[0] = PolicyRegistry.Rule(5, 0);
        rules[1] = PolicyRegistry.Rule(6, 2);
        rules[2] = PolicyRegistry.Rule(4, MOST);
        rules[3] = PolicyRegistry.Rule(1, uint256(keccak256("")));
        _list("dynamic(uint256,uint256[],bytes)", rules);
        rules[0] = PolicyRegistry.Rule(2, 0);
        rules[3] = PolicyRegistry.Rule(4, MOST);
        _list("tuple((uint256,uint256[]),uint256)", rules);
        vm.stopPrank();
    }

    // -------------------------------------------------------------- each word its rule

    function check_admitted_words_keep_their_rules(uint256[5] memory word, uint256 value) public {
        bytes memory data = abi.encodePacked(words, word[0], word[1], word[2], word[3], word[4]);
        if (!_admitted(data, value, 0, false)) return;
        assert(word[0] == EQUAL);
        assert(word[1] == uint160(EXECUTOR));
        assert(word[2] == MEMBER || word[2] == OTHER_MEMBER);
        assert(word[3] <= MOST);
        assert(value <= MAX_NATIVE);
    }

    /// @dev Measured amounts only in words that are LE or ANY: each word, and those past the end.
    function check_measured_words_are_bounded_ones() public {
        uint256 self = uint160(EXECUTOR);
        bytes memory data = abi.encodePacked(words, EQUAL, self, MEMBER, MOST, MOST);
        for (uint256 spliced = 1; spliced < 128; spliced <<= 1) {
            assert(_admitted(data, 0, spliced, false) == (spliced & ~uint256(0x18) == 0));
        }
    }

    /// @dev What is not marked passes in REDUCE_ONLY with no words at all.
    function check_nothing_unmarked_passes_in_reduce_only(uint256[5] memory word) public {
        assert(!_admitted(abi.encodePacked(words, word), 0, 0, true));
    }

    /// @dev One byte more or less than the signature's words is refused, whatever the bytes.
    function check_other_lengths_are_refused(bytes32 extra, uint256[4] memory word) public {
        bytes memory short = abi.encodePacked(words, word[0], word[1], word[2], word[3]);
        assert(!_admitted(short, 0, 0, false));
        assert(!_admitted(abi.encodePacked(short, bytes31(extra)), 0, 0, false));
        assert(!_admitted(abi.encodePacked(short, extra, bytes1(extra)), 0, 0, false));
    }

    /// @dev A policy binds its own executor: to others nothing is listed, and no other target is.
    function check_nobody_else_may(uint256[5] memory word) public {
        bytes memory data = abi.encodePacked(words, word);
        bytes memory call = abi.encodeCall(registry.checkCall, (address(this), 0, data, 0, false));
        vm.prank(OWNER);
        (bool ok,) = address(registry).staticcall(call);
        assert(!ok);
        call = abi.encodeCall(registry.checkCall, (address(vm), 0, data, 0, false));
        vm.prank(EXECUTOR);
        (ok,) = address(registry).staticcall(call);
        assert(!ok);
    }

    // ------------------------------------------------------------------ canonical alone

    /// @dev Two elements: offsets and elements are any words, and what is admitted is what the ABI writes.
    function check_admitted_arrays_are_canonical(uint256[5] memory word) public {
        bytes memory head = abi.encodePacked(dynamic, word[0], word[1], word[2]);
        bytes memory data = abi.encodePacked(head, uint256(2), word[3], word[4], uint256(0));
        if (!_admitted(data, 0, 0, false)) return;
        assert(word[1] == 0x60 && word[2] == 0xc0);
        assert(word[3] <= MOST && word[4] <= MOST);
    }

    /// @dev Words 0, 4 and 5 alone may be measured: no offset, no length.
    function check_no_offset_and_no_length_is_measured() public {
        bytes memory head = abi.encodePacked(dynamic, uint256(1), uint256(0x60), uint256(0xc0));
        bytes memory data = abi.encodePacked(head, uint256(2), MOST, MOST, uint256(0));
        for (uint256 spliced = 1; spliced < 256; spliced <<= 1) {
            assert(_admitted(data, 0, spliced, false) == (spliced & ~uint256(0x31) == 0));
        }
    }

    function check_admitted_empty_arrays_are_canonical(uint256[3] memory word) public {
        bytes memory data = abi.encodePacked(dynamic, word[0], word[1], word[2], uint256(0), uint256(0));
        if (!_admitted(data, 0, 0, false)) return;
        assert(word[1] == 0x60 && word[2] == 0x80);
    }

    function check_longer_arrays_than_listed_are_refused(uint256[8] memory word) public {
        vm.assume(word[3] > 2);
        assert(!_admitted(abi.encodePacked(dynamic, word), 0, 0, false));
    }

    /// @dev `bytes` listed as empty: 32 bytes of anything are refused, at any offset.
    function check_other_bytes_than_listed_are_refused(uint256[4] memory word) public {
        bytes memory head = abi.encodePacked(dynamic, word[0], word[1], word[2], uint256(0));
        assert(!_admitted(abi.encodePacked(head, uint256(32), word[3]), 0, 0, false));
    }

    function check_admitted_tuples_are_canonical(uint256[5] memory word) public {
        bytes memory head = abi.encodePacked(tuple, word[0], word[1], word[2], word[3]);
        if (!_admitted(abi.encodePacked(head, uint256(1), word[4]), 0, 0, false)) return;
        assert(word[0] == 0x40);
        assert(word[1] <= MOST);
        assert(word[2] == uint160(EXECUTOR));
        assert(word[3] == 0x40);
        assert(word[4] <= MOST);
    }

    /// @dev The rules do admit something: a proof about nothing would be none.
    function check_what_keeps_to_its_rules_is_admitted(uint256 low, uint256 any) public {
        vm.assume(low <= MOST);
        bytes memory data = abi.encodePacked(words, EQUAL, uint256(uint160(EXECUTOR)), MEMBER, low, any);
        assert(_admitted(data, MAX_NATIVE, 0x18, false));
        bytes memory head = abi.encodePacked(dynamic, any, uint256(0x60), uint256(0xa0));
        assert(_admitted(abi.encodePacked(head, uint256(1), low, uint256(0)), 0, 0x11, false));
        head = abi.encodePacked(tuple, uint256(0x40), low, uint256(uint160(EXECUTOR)), uint256(0x40));
        assert(_admitted(abi.encodePacked(head, uint256(1), low), 0, 0, false));
    }

    // -------------------------------------------------------------------- internal

    function _admitted(bytes memory data, uint256 value, uint256 spliced, bool reducing)
        private
        returns (bool ok)
    {
        vm.prank(EXECUTOR);
        (ok,) = address(registry)
            .staticcall(abi.encodeCall(registry.checkCall, (address(this), value, data, spliced, reducing)));
    }

    function _list(string memory signature, PolicyRegistry.Rule[] memory rules) private {
        PolicyRegistry.Entry memory entry =
            PolicyRegistry.Entry(2, false, uint128(MAX_NATIVE), address(0), rules);
        registry.list(EXECUTOR, address(this), signature, entry);
    }
}
