// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {PolicyRegistry} from "../src/PolicyRegistry.sol";
import {Signatures} from "../src/Signatures.sol";
import {UniswapV3Path} from "../src/UniswapV3Path.sol";
import {PolicyWorld, TestParser} from "./support/PolicyWorld.sol";

struct Inner {
    bytes note;
    uint256 amount;
    uint256[] list;
}

struct Pair {
    uint256 a;
    uint256 b;
}

/// @dev Decodes as any compiled target does, and encodes again: equal bytes have one reading only.
contract Decoder {
    function again(bytes calldata tail) external pure returns (bytes memory) {
        (uint256[] memory list, Inner memory inner, uint256 word, Pair[] memory pairs, string memory text) =
            abi.decode(tail, (uint256[], Inner, uint256, Pair[], string));
        return abi.encode(list, inner, word, pairs, text);
    }
}

contract ArgumentsTest is PolicyWorld {
    string private constant WIDE =
        "wide(uint256[],(bytes,uint256,uint256[]),uint256,(uint256,uint256)[],string)";
    string private constant EXACT_INPUT = "exactInput((bytes,address,uint256,uint256,uint256))";

    TestParser private parser;
    Decoder private decoder;

    function setUp() public override {
        super.setUp();
        parser = new TestParser();
        decoder = new Decoder();
    }

    // ------------------------------------------------------------------ what is listed

    function test_rules_are_read_back_as_they_were_given() public {
        PolicyRegistry.Rule[] memory rules = _wideRules();
        _list(WIDE, rules);
        (string memory signature, PolicyRegistry.Entry memory entry) =
            registry.listingOf(executor, address(target), bytes4(keccak256(bytes(WIDE))));
        assertEq(signature, WIDE);
        assertEq(abi.encode(entry.rules), abi.encode(rules));
        assertEq(entry.version, 2);
    }

    function test_each_dynamic_argument_needs_its_own_kind_of_rule() public {
        for (uint8 kind = 1; kind <= 9; ++kind) {
            PolicyRegistry.Rule[] memory rules = _rules(2, 5, 0);
            rules[0] = _rule(kind, 3);
            if (kind != 6) _listRefused("f(uint256[])", rules, _unsupported(0, kind));
            rules = _rules(1, kind, 3);
            if (kind != 1 && kind != 7) _listRefused("f(bytes)", rules, _unsupported(0, kind));
            if (kind > 5) _listRefused("f(uint256)", rules, _unsupported(0, kind));
        }
        _listRefused("f(uint256)", _rules(1, 0, 0), _unsupported(0, 0));
    }

    function test_lengths_are_bounded() public {
        PolicyRegistry.Rule[] memory rules = _rules(2, 5, 0);
        uint256[2] memory unfit = [uint256(0), 257];
        for (uint256 i = 0; i < unfit.length; ++i) {
            rules[0] = _rule(6, unfit[i]);
            _listRefused("f(uint256[])", rules, _outOfRange(0, unfit[i]));
        }
        rules[0] = _rule(6, 256);
        _list("f(uint256[])", rules);
        unfit = [_parsedBy(address(parser), 0), _parsedBy(address(parser), 4097)];
        for (uint256 i = 0; i < unfit.length; ++i) {
            rules[0] = _rule(7, unfit[i]);
            _listRefused("f(bytes)", rules, _outOfRange(0, unfit[i]));
        }
        rules[0] = _rule(7, _parsedBy(address(parser), 4096));
        _list("f(bytes)", rules);
    }

    function test_parsers_have_code_and_a_bounded_number_of_words() public {
        PolicyRegistry.Rule[] memory rules = _rules(2, 5, 0);
        rules[0] = _rule(7, _parsedBy(stranger, 32));
        _listRefused("f(bytes)", rules, abi.encodeWithSelector(PolicyRegistry.NotAParser.selector, stranger));
        rules[0] = _rule(7, _parsedBy(address(parser), 32));
        uint256[2] memory unfit = [uint256(0), 9];
        for (uint256 i = 0; i < unfit.length; ++i) {
            parser.set(unfit[i], 1);
            _listRefused(
                "f(bytes)", rules, abi.encodeWithSelector(PolicyRegistry.NotAParser.selector, address(parser))
            );
        }
    }

    function test_a_missing_or_superfluous_rule_is_refused_wherever_it_is() public {
        PolicyRegistry.Rule[] memory all = _wideRules();
        for (uint256 count = 0; count < all.length; ++count) {
            PolicyRegistry.Rule[] memory rules = new PolicyRegistry.Rule[](count);
            for (uint256 i = 0; i < count; ++i) {
                rules[i] = all[i];
            }
            vm.expectPartialRevert(PolicyRegistry.WrongRuleCount.selector);
            _list(WIDE, rules);
        }
        PolicyRegistry.Rule[] memory more = new PolicyRegistry.Rule[](all.length + 1);
        for (uint256 i = 0; i < all.length; ++i) {
            more[i] = all[i];
        }
        more[all.length] = _rule(5, 0);
        _listRefused(
            WIDE,
            more,
            abi.encodeWithSelector(PolicyRegistry.WrongRuleCount.selector, all.length, all.length + 1)
        );
    }

    function test_what_a_parser_adds_counts_as_items_too() public {
        PolicyRegistry.Rule[] memory rules = _rules(64, 5, 0);
        _list("f(uint256[32],uint256[32])", rules);
        _listRefused(
            "f(uint256[32],uint256[32],uint256)",
            rules,
            abi.encodeWithSelector(Signatures.ShapeTooLong.selector, "f(uint256[32],uint256[32],uint256)", 64)
        );
        // 62 words, and three items for `bytes`.
        rules[62] = _rule(7, _parsedBy(address(parser), 32));
        _listRefused(
            "f(uint256[31],uint256[31],bytes)",
            rules,
            abi.encodeWithSelector(PolicyRegistry.TooManyItems.selector, 64)
        );
    }

    // ---------------------------------------------------------------- canonical encoding

    function testFuzz_canonical_calldata_is_admitted(
        uint256[] memory list,
        Inner memory inner,
        uint256 word,
        Pair[] memory pairs
    ) public {
        _list(WIDE, _wideRules());
        if (list.length > 8) _shorten(list, 8);
        if (inner.list.length > 8) _shorten(inner.list, 8);
        if (pairs.length > 4) pairs = new Pair[](4);
        if (inner.note.length > 96) inner.note = "shorter";
        assertTrue(_admitted(abi.encodeWithSignature(WIDE, list, inner, word, pairs, "same"), 0));
    }

    /// @dev Whatever is changed: what is admitted has one reading, which gives the very same bytes again.
    function testFuzz_only_canonical_calldata_is_admitted(uint256 seed) public {
        _list(WIDE, _wideRules());
        bytes memory data = _wide(seed);
        assertTrue(_admitted(data, 0));
        for (uint256 round = 0; round < 12; ++round) {
            seed = uint256(keccak256(abi.encode(seed)));
            bytes memory changed = _mutated(data, seed);
            if (!_admitted(changed, 0)) continue;
            bytes memory tail = new bytes(changed.length - 4);
            for (uint256 i = 0; i < tail.length; ++i) {
                tail[i] = changed[i + 4];
            }
            assertEq(decoder.again(tail), tail);
        }
    }

    function test_offsets_that_overlap_leave_gaps_or_change_order_are_refused() public {
        string memory signature = "two(uint256[],uint256[])";
        PolicyRegistry.Rule[] memory rules = _rules(4, 5, 0);
        (rules[0], rules[2]) = (_rule(6, 4), _rule(6, 4));
        _list(signature, rules);
        bytes4 selector = bytes4(keccak256(bytes(signature)));
        // heads: 0x40, 0x80; tails: [1] [2]
        assertTrue(_admitted(abi.encodePacked(selector, _words(64, 128, 1, 7, 1, 8)), 0));
        _refused(abi.encodePacked(selector, _words(64, 64, 1, 7, 1, 8)), 0, _notCanonical(1));
        _refused(abi.encodePacked(selector, _words(128, 64, 1, 7, 1, 8)), 0, _notCanonical(0));
        _refused(abi.encodePacked(selector, _words(96, 128, 1, 7, 1, 8)), 0, _notCanonical(0));
        _refused(abi.encodePacked(selector, _words(64, 127, 1, 7, 1, 8)), 0, _notCanonical(1));
        _refused(abi.encodePacked(selector, _words(64, type(uint256).max, 1, 7, 1, 8)), 0, _notCanonical(1));
        _refused(abi.encodePacked(selector, _words(64, 96, 0, 1, 8, 9)), 0, _calldataLength(196, 164));
        _refused(abi.encodePacked(selector, _words(64, 96, 0, 3, 8, 9)), 0, _calldataLength(196, 228));
        _refused(abi.encodePacked(selector, _words(64, 96, 0, 5, 8, 9)), 0, _tooLong(3, 5, 4));
        _refused(abi.encodePacked(selector, _words(64, 192, 3, 7, 1, 8)), 0, _calldataLength(196, 228));
    }

    function test_lengths_near_the_largest_number_are_refused() public {
        PolicyRegistry.Rule[] memory rules = _rules(2, 5, 0);
        rules[0] = _rule(6, 256);
        _list("f(uint256[])", rules);
        rules = _rules(1, 1, uint256(keccak256("")));
        _list("g(bytes)", rules);
        rules = _rules(2, 5, 0);
        rules[0] = _rule(7, _parsedBy(address(parser), 64));
        _list("h(string)", rules);
        for (uint256 back = 0; back < 80; ++back) {
            uint256 length = type(uint256).max - back;
            bytes memory tail = abi.encode(32, length, 1);
            _refused(abi.encodePacked(bytes4(keccak256("f(uint256[])")), tail), 0, _tooLong(1, length, 256));
            _refused(abi.encodePacked(bytes4(keccak256("g(bytes)")), tail), 0, _tooLong(1, length, 4096));
            _refused(abi.encodePacked(bytes4(keccak256("h(string)")), tail), 0, _tooLong(1, length, 64));
        }
    }

    function test_calldata_that_ends_too_early_is_refused_at_every_byte() public {
        _list(WIDE, _wideRules());
        bytes memory data = _wide(5);
        for (uint256 length = 4; length < data.length; ++length) {
            bytes memory shorter = new bytes(length);
            for (uint256 i = 0; i < length; ++i) {
                shorter[i] = data[i];
            }
            assertFalse(_admitted(shorter, 0));
        }
        assertFalse(_admitted(bytes.concat(data, hex"00"), 0));
        assertFalse(_admitted(bytes.concat(data, new bytes(32)), 0));
    }

    function test_padding_is_zero() public {
        PolicyRegistry.Rule[] memory rules = _rules(2, 5, 0);
        rules[0] = _rule(7, _parsedBy(address(parser), 64));
        _list("f(bytes)", rules);
        bytes4 selector = bytes4(keccak256("f(bytes)"));
        for (uint256 length = 1; length <= 64; ++length) {
            bytes memory data = abi.encodePacked(selector, abi.encode(new bytes(length)));
            assertTrue(_admitted(data, 0));
            if (length % 32 == 0) continue;
            data[data.length - 1] = 0x01;
            _refused(data, 0, _notCanonical((data.length - 4) / 32 - 1));
            data[data.length - 1] = 0x00;
            data[68 + length] = 0x80;
            _refused(data, 0, _notCanonical((data.length - 4) / 32 - 1));
        }
    }

    // ------------------------------------------------------------- policies on elements

    function test_every_element_meets_the_rules_of_the_element() public {
        PolicyRegistry.Rule[] memory rules = _rules(3, 5, 0);
        (rules[0], rules[1], rules[2]) = (_rule(6, 3), _rule(4, 9), _rule(2, 0));
        _list("f((uint256,address)[])", rules);
        uint256 self = uint160(executor);
        bytes4 selector = bytes4(keccak256("f((uint256,address)[])"));
        assertTrue(_admitted(abi.encodePacked(selector, _words(32, 2, 9, self, 0, self)), 0));
        _refused(abi.encodePacked(selector, _words(32, 2, 9, self, 10, self)), 0, _wordRefused(4, 4, 10, 9));
        _refused(abi.encodePacked(selector, _words(32, 2, 9, self, 0, 1)), 0, _wordRefused(5, 2, 1, self));
        assertTrue(_admitted(abi.encodePacked(selector, abi.encode(32, 0)), 0));
    }

    function test_bytes_have_the_listed_hash() public {
        string memory signature = "supply((address,uint256),address,bytes)";
        PolicyRegistry.Rule[] memory rules = _rules(4, 5, 0);
        (rules[2], rules[3]) = (_rule(2, 0), _rule(1, uint256(keccak256(""))));
        _list(signature, rules);
        Pair memory market = Pair(1, 2);
        assertTrue(_admitted(abi.encodeWithSignature(signature, market, executor, ""), 0));
        _refused(
            abi.encodeWithSignature(signature, market, executor, hex"00"),
            0,
            _wordRefused(4, 1, uint256(keccak256(hex"00")), uint256(keccak256("")))
        );
        _refused(
            abi.encodeWithSignature(signature, market, stranger, ""),
            0,
            _wordRefused(2, 2, uint160(stranger), uint160(executor))
        );
    }

    function test_a_path_has_known_tokens_and_fees_only() public {
        _listExactInput();
        bytes memory path = abi.encodePacked(address(weth), uint24(3000), address(usd));
        assertTrue(_admitted(_exactInput(path, executor, 5), 0));
        bytes memory longer = abi.encodePacked(path, uint24(500), address(weth));
        assertTrue(_admitted(_exactInput(longer, executor, 5), 0));
        _refused(_exactInput(path, stranger, 5), 0, _wordRefused(2, 2, uint160(stranger), uint160(executor)));
        bytes memory unknown = abi.encodePacked(path, uint24(500), stranger);
        _refused(_exactInput(unknown, executor, 5), 0, _wordRefused(6, 3, uint160(stranger), 1));
        unknown = abi.encodePacked(address(weth), uint24(100), address(usd));
        _refused(_exactInput(unknown, executor, 5), 0, _wordRefused(6, 3, 100, 2));
        unknown = abi.encodePacked(path, uint24(500), address(weth), uint24(500), address(usd));
        _refused(_exactInput(unknown, executor, 5), 0, _tooLong(6, 89, 66));
        uint8[5] memory lengths = [0, 20, 42, 44, 65];
        for (uint256 i = 0; i < lengths.length; ++i) {
            _refused(
                _exactInput(new bytes(lengths[i]), executor, 5),
                0,
                abi.encodeWithSelector(UniswapV3Path.MalformedPath.selector, lengths[i])
            );
        }
    }

    function test_answers_of_a_parser_that_do_not_fit_its_rules_are_refused() public {
        parser.set(2, 1);
        PolicyRegistry.Rule[] memory rules = _rules(3, 5, 0);
        rules[0] = _rule(7, _parsedBy(address(parser), 64));
        _list("f(bytes)", rules);
        bytes memory data = abi.encodeWithSignature("f(bytes)", "x");
        uint8[2] memory counts = [0, 3];
        for (uint256 i = 0; i < counts.length; ++i) {
            parser.set(2, counts[i]);
            _refused(
                data,
                0,
                abi.encodeWithSelector(PolicyRegistry.ParserAnswer.selector, address(parser), counts[i])
            );
        }
        parser.set(2, 4);
        assertTrue(_admitted(data, 0));
    }

    // ---------------------------------------------------------------------- splices

    function test_splices_meet_le_and_any_words_inside_arguments_too() public {
        _listExactInput();
        bytes memory data =
            _exactInput(abi.encodePacked(address(weth), uint24(3000), address(usd)), executor, 5);
        // Words: 0 offset, 1 path's offset, 2 recipient, 3 deadline, 4 amount in, 5 minimum, 6 length, 7 8 path.
        assertTrue(_admitted(data, 1 << 4));
        assertTrue(_admitted(data, 1 << 4 | 1 << 5));
        _refused(data, 1 << 2, _spliceRefused(2, 2));
        uint8[4] memory untouchable = [0, 1, 6, 7];
        for (uint256 i = 0; i < untouchable.length; ++i) {
            _refused(data, 1 << untouchable[i] | 1 << 4, _spliceRefused(untouchable[i], 0));
        }
        _refused(data, 1 << 255, _spliceRefused(255, 0));
    }

    function test_splices_into_elements_are_judged_by_their_rule() public {
        PolicyRegistry.Rule[] memory rules = _rules(3, 5, 0);
        (rules[0], rules[1], rules[2]) = (_rule(6, 256), _rule(4, 9), _rule(1, 3));
        _list("f((uint256,uint256)[])", rules);
        Pair[] memory pairs = new Pair[](2);
        (pairs[0], pairs[1]) = (Pair(1, 3), Pair(2, 3));
        bytes memory data = abi.encodeWithSignature("f((uint256,uint256)[])", pairs);
        assertTrue(_admitted(data, 1 << 2 | 1 << 4));
        _refused(data, 1 << 3, _spliceRefused(3, 1));
        // Words past the 256th cannot be spliced at all.
        pairs = new Pair[](200);
        for (uint256 i = 0; i < pairs.length; ++i) {
            pairs[i].b = 3;
        }
        data = abi.encodeWithSignature("f((uint256,uint256)[])", pairs);
        assertTrue(_admitted(data, 1 << 254));
    }

    // ------------------------------------------------------------------- internal

    function _wideRules() private view returns (PolicyRegistry.Rule[] memory rules) {
        rules = _rules(11, 5, 0);
        rules[0] = _rule(6, 8);
        rules[2] = _rule(7, _parsedBy(address(parser), 96));
        rules[5] = _rule(6, 8);
        rules[8] = _rule(6, 4);
        PolicyRegistry.Rule[] memory longer = new PolicyRegistry.Rule[](12);
        for (uint256 i = 0; i < 11; ++i) {
            longer[i] = rules[i];
        }
        longer[11] = _rule(1, uint256(keccak256("same")));
        return longer;
    }

    function _wide(uint256 seed) private pure returns (bytes memory) {
        uint256[] memory list = new uint256[](seed % 4);
        Inner memory inner = Inner(new bytes((seed >> 8) % 70), seed, new uint256[]((seed >> 16) % 3));
        Pair[] memory pairs = new Pair[]((seed >> 24) % 3);
        return abi.encodeWithSignature(WIDE, list, inner, seed, pairs, "same");
    }

    function _mutated(bytes memory data, uint256 seed) private pure returns (bytes memory changed) {
        uint256 kind = seed % 4;
        uint256 words = (data.length - 4) / 32;
        uint256 at = 36 + (seed >> 8) % words * 32;
        uint256 other = 36 + (seed >> 16) % words * 32;
        changed = bytes.concat(data);
        if (kind == 0) {
            // Offsets and lengths are small: small changes find the edges.
            uint256 delta = [uint256(1), 32, 64, type(uint256).max, type(uint256).max - 31][(seed >> 24) % 5];
            assembly ("memory-safe") {
                mstore(add(changed, at), add(mload(add(changed, at)), delta))
            }
        } else if (kind == 1) {
            assembly ("memory-safe") {
                let word := mload(add(changed, at))
                mstore(add(changed, at), mload(add(changed, other)))
                mstore(add(changed, other), word)
            }
        } else if (kind == 2) {
            changed[(seed >> 24) % (data.length - 4) + 4] = bytes1(uint8(seed >> 200));
        } else {
            changed = bytes.concat(data, new bytes((seed >> 24) % 2 * 31 + 1));
        }
    }

    function _shorten(uint256[] memory list, uint256 length) private pure {
        assembly ("memory-safe") {
            mstore(list, length)
        }
    }

    function _listExactInput() private {
        address path = address(new UniswapV3Path());
        _members(1, uint160(address(weth)), true);
        _members(1, uint160(address(usd)), true);
        _members(2, 3000, true);
        _members(2, 500, true);
        PolicyRegistry.Rule[] memory rules = _rules(8, 5, 0);
        rules[0] = _rule(7, _parsedBy(path, 66));
        (rules[1], rules[2], rules[3]) = (_rule(3, 1), _rule(3, 2), _rule(3, 1));
        rules[4] = _rule(2, 0);
        _list(EXACT_INPUT, rules);
    }

    function _exactInput(bytes memory path, address to, uint256 amount) private view returns (bytes memory) {
        bytes memory tuple =
            abi.encodePacked(abi.encode(160, to, block.timestamp, amount, 0), abi.encode(path));
        // abi.encode(path) leads with its own offset, which the tuple's head has already.
        bytes memory head = abi.encode(160, to, block.timestamp, amount, 0);
        bytes memory tail = new bytes(tuple.length - head.length - 32);
        for (uint256 i = 0; i < tail.length; ++i) {
            tail[i] = tuple[head.length + 32 + i];
        }
        return bytes.concat(bytes4(keccak256(bytes(EXACT_INPUT))), abi.encode(32), head, tail);
    }

    function _words(uint256 a, uint256 b, uint256 c, uint256 d, uint256 e, uint256 f)
        private
        pure
        returns (bytes memory)
    {
        return abi.encode(a, b, c, d, e, f);
    }

    function _parsedBy(address parser_, uint256 maximum) private pure returns (uint256) {
        return maximum << 160 | uint160(parser_);
    }

    function _unsupported(uint256 rule, uint8 kind) private pure returns (bytes memory) {
        return abi.encodeWithSelector(PolicyRegistry.UnsupportedRule.selector, rule, kind);
    }

    function _outOfRange(uint256 rule, uint256 operand) private pure returns (bytes memory) {
        return abi.encodeWithSelector(PolicyRegistry.OperandOutOfRange.selector, rule, operand);
    }

    function _notCanonical(uint256 word) private pure returns (bytes memory) {
        return abi.encodeWithSelector(PolicyRegistry.NotCanonical.selector, word);
    }

    function _calldataLength(uint256 length, uint256 expected) private pure returns (bytes memory) {
        return abi.encodeWithSelector(PolicyRegistry.CalldataLength.selector, length, expected);
    }

    function _tooLong(uint256 word, uint256 length, uint256 maximum) private pure returns (bytes memory) {
        return abi.encodeWithSelector(PolicyRegistry.TooLong.selector, word, length, maximum);
    }

    function _wordRefused(uint256 word, uint8 rule, uint256 value, uint256 operand)
        private
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(PolicyRegistry.WordRefused.selector, word, rule, value, operand);
    }

    function _spliceRefused(uint256 word, uint8 rule) private pure returns (bytes memory) {
        return abi.encodeWithSelector(PolicyRegistry.SpliceRefused.selector, word, rule);
    }
}
