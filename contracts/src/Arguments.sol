// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {IParser} from "./IParser.sol";
import {KeyedList} from "./KeyedList.sol";
import {PolicyRegistry} from "./PolicyRegistry.sol";
import {Signatures} from "./Signatures.sol";

/// @title What each argument of a listed function may be, and whether calldata keeps to it.
///
/// @notice Rules stand in the order of the signature's text: one for each static word; for an array first the
///         greatest length, then one for each word of an element; for `bytes` the one value that it may have, or a
///         parser and one rule for each word of what it parses. A tuple with dynamic members has the rules of its
///         members, no more.
///
/// @dev Encoding must be canonical: tails in the order of their heads, no gap, no overlap, nothing left over,
///      padding zero. Then there is one reading of the bytes, ours and the target's. The rules are kept as a
///      program: one code an item, up to 64, with an operand each.
library Arguments {
    using KeyedList for KeyedList.List;

    // ---------------------------------------------------------------- types

    /// @param codes of items 0 to 31 and 32 to 63, a byte each: a rule's kind, or CODE_*
    struct Program {
        bytes32[2] codes;
        mapping(uint256 item => uint256) operands;
    }

    /// @param count of items
    /// @param headWords of the arguments
    /// @param dynamic whether any argument is
    struct Draft {
        bytes codes;
        uint256[] operands;
        uint256 count;
        uint256 headWords;
        bool dynamic;
    }

    /// @param item next one to look at
    /// @param spliced words of calldata that came from a measurement and have met no rule yet
    /// @param self what SELF stands for
    struct Walk {
        bytes32[2] codes;
        uint256 item;
        uint256 spliced;
        address self;
    }

    // ------------------------------------------------------------ constants

    uint8 internal constant RULE_EQ = 1;
    uint8 internal constant RULE_SELF = 2;
    uint8 internal constant RULE_IN_SET = 3;
    uint8 internal constant RULE_LE = 4;
    uint8 internal constant RULE_ANY = 5;
    uint8 internal constant RULE_LENGTH = 6;
    uint8 internal constant RULE_PARSED = 7;
    /// @dev EQ of `bytes`.
    uint8 internal constant CODE_HASH = 8;
    /// @dev Its operand is the number of its head words.
    uint8 internal constant CODE_TUPLE = 9;
    uint8 internal constant CODE_CLOSE = 10;

    uint256 internal constant MAX_ITEMS = 64;
    uint256 internal constant MAX_ELEMENTS = 256;
    uint256 internal constant MAX_BYTES = 4096;
    uint256 internal constant MAX_ELEMENT_WORDS = 8;

    uint256 private constant WORD = 32;
    /// @dev Head words of the arguments start behind the selector.
    uint256 private constant FIRST = 4;

    // -------------------------------------------------------------- listing

    /// @notice Puts signature and rules together, and refuses what does not fit.
    function compile(string memory signature, PolicyRegistry.Rule[] calldata rules)
        internal
        view
        returns (Draft memory draft)
    {
        bytes memory shape = Signatures.shapeOf(signature);
        draft.codes = new bytes(MAX_ITEMS);
        draft.operands = new uint256[](MAX_ITEMS);
        draft.headWords = Signatures.headWords(shape, 0);
        uint256 next = 0;
        for (uint256 i = 0; i < shape.length; ++i) {
            uint8 part = uint8(shape[i]);
            if (part == Signatures.SHAPE_WORD) {
                _addWord(draft, rules, next++);
            } else if (part == Signatures.SHAPE_CLOSE) {
                _add(draft, CODE_CLOSE, 0);
            } else {
                draft.dynamic = true;
                if (part == Signatures.SHAPE_TUPLE) {
                    _add(draft, CODE_TUPLE, Signatures.headWords(shape, i + 1));
                } else if (part == Signatures.SHAPE_ARRAY) {
                    _addLength(draft, rules, next++);
                } else {
                    next = _addBytes(draft, rules, next);
                }
            }
        }
        if (next != rules.length) revert PolicyRegistry.WrongRuleCount(next, rules.length);
    }

    /// @return looser false if everything that the draft admits was admitted before
    function store(Program storage program, Draft memory draft) internal returns (bool looser) {
        bytes32[2] memory codes;
        bytes memory drafted = draft.codes;
        assembly ("memory-safe") {
            mstore(codes, mload(add(drafted, 32)))
            mstore(add(codes, 32), mload(add(drafted, 64)))
        }
        bytes32[2] memory present = program.codes;
        for (uint256 i = 0; i < draft.count; ++i) {
            uint256 operand = draft.operands[i];
            uint256 old = program.operands[i];
            if (_isLooser(_codeAt(codes, i), operand, _codeAt(present, i), old)) looser = true;
            if (operand != old) program.operands[i] = operand;
        }
        if (draft.count < MAX_ITEMS && _codeAt(present, draft.count) != 0) looser = true;
        program.codes = codes;
    }

    /// @notice The rules as they were given.
    function rulesOf(Program storage program, uint256 count)
        internal
        view
        returns (PolicyRegistry.Rule[] memory rules)
    {
        bytes32[2] memory codes = program.codes;
        rules = new PolicyRegistry.Rule[](count);
        uint256 length = 0;
        for (uint256 i = 0; i < count; ++i) {
            uint8 code = _codeAt(codes, i);
            if (code >= CODE_TUPLE) continue;
            rules[length++] = PolicyRegistry.Rule(code == CODE_HASH ? RULE_EQ : code, program.operands[i]);
        }
        assembly ("memory-safe") {
            mstore(rules, length)
        }
    }

    // ------------------------------------------------------------- checking

    /// @param data calldata, selector included
    /// @param walk with `spliced` (bit i for word i behind the selector) and `self` filled in
    function check(
        Program storage program,
        mapping(uint256 set => KeyedList.List) storage sets,
        bytes calldata data,
        uint256 headWords_,
        Walk memory walk
    ) internal view {
        walk.codes = program.codes;
        uint256 end = _frame(program, sets, data, FIRST, headWords_, walk);
        if (end != data.length) revert PolicyRegistry.CalldataLength(data.length, end);
        // What was spliced elsewhere than into a word with a rule: a length, an offset, `bytes`.
        if (walk.spliced != 0) revert PolicyRegistry.SpliceRefused(_lowestBit(walk.spliced), 0);
    }

    /// @dev Members of a tuple: heads from `base`, tails behind them, in order.
    /// @return tail where the last of them ends
    function _frame(
        Program storage program,
        mapping(uint256 set => KeyedList.List) storage sets,
        bytes calldata data,
        uint256 base,
        uint256 headWords_,
        Walk memory walk
    ) private view returns (uint256 tail) {
        tail = base + WORD * headWords_;
        if (tail > data.length) revert PolicyRegistry.CalldataLength(data.length, tail);
        for (uint256 head = base; head < base + WORD * headWords_; head += WORD) {
            uint8 code = _codeAt(walk.codes, walk.item);
            if (code <= RULE_ANY) {
                _checkAt(program, sets, data, head, walk);
                ++walk.item;
            } else {
                if (_wordAt(data, head) != tail - base) revert PolicyRegistry.NotCanonical(_indexOf(head));
                tail = _tail(program, sets, data, tail, code, walk);
            }
        }
    }

    /// @return end of the dynamic member whose tail begins at `at`
    function _tail(
        Program storage program,
        mapping(uint256 set => KeyedList.List) storage sets,
        bytes calldata data,
        uint256 at,
        uint8 code,
        Walk memory walk
    ) private view returns (uint256 end) {
        uint256 operand = program.operands[walk.item++];
        if (code == CODE_TUPLE) {
            end = _frame(program, sets, data, at, operand, walk);
            ++walk.item;
            return end;
        }
        if (at + WORD > data.length) revert PolicyRegistry.CalldataLength(data.length, at + WORD);
        uint256 length = _wordAt(data, at);
        if (code == RULE_LENGTH) {
            if (length > operand) revert PolicyRegistry.TooLong(_indexOf(at), length, operand);
            return _array(program, sets, data, at + WORD, length, walk);
        }
        uint256 maximum = code == CODE_HASH ? MAX_BYTES : operand >> 160;
        if (length > maximum) revert PolicyRegistry.TooLong(_indexOf(at), length, maximum);
        end = at + WORD + (length + WORD - 1) / WORD * WORD;
        if (end > data.length) revert PolicyRegistry.CalldataLength(data.length, end);
        bytes calldata content = data[at + WORD:at + WORD + length];
        // A shift by 256 (nothing in the last word, or all of it) leaves nothing to see.
        if (length % WORD != 0 && _wordAt(data, end - WORD) << (8 * (length % WORD)) != 0) {
            revert PolicyRegistry.NotCanonical(_indexOf(end - WORD));
        }
        if (code == CODE_HASH) {
            uint256 hash = uint256(keccak256(content));
            if (hash != operand) revert PolicyRegistry.WordRefused(_indexOf(at), RULE_EQ, hash, operand);
        } else {
            _parsed(program, sets, content, address(uint160(operand)), _indexOf(at), walk);
        }
    }

    /// @dev Every element by the same rules, which stand behind the length's and end with a close.
    function _array(
        Program storage program,
        mapping(uint256 set => KeyedList.List) storage sets,
        bytes calldata data,
        uint256 at,
        uint256 length,
        Walk memory walk
    ) private view returns (uint256) {
        uint256 first = walk.item;
        uint256 words = _elementWords(walk, first);
        uint256 end = at + WORD * words * length;
        if (end > data.length) revert PolicyRegistry.CalldataLength(data.length, end);
        for (uint256 i = 0; at < end; ++i) {
            walk.item = first + i % words;
            _checkAt(program, sets, data, at, walk);
            at += WORD;
        }
        walk.item = first + words + 1;
        return end;
    }

    function _parsed(
        Program storage program,
        mapping(uint256 set => KeyedList.List) storage sets,
        bytes calldata content,
        address parser,
        uint256 index,
        Walk memory walk
    ) private view {
        uint256[] memory values = IParser(parser).parse(content);
        uint256 first = walk.item;
        uint256 words = _elementWords(walk, first);
        if (values.length == 0 || values.length % words != 0) {
            revert PolicyRegistry.ParserAnswer(parser, values.length);
        }
        for (uint256 i = 0; i < values.length; ++i) {
            walk.item = first + i % words;
            _checkWord(program, sets, walk, values[i], index);
        }
        walk.item = first + words + 1;
    }

    function _checkAt(
        Program storage program,
        mapping(uint256 set => KeyedList.List) storage sets,
        bytes calldata data,
        uint256 at,
        Walk memory walk
    ) private view {
        uint256 index = _indexOf(at);
        if (walk.spliced != 0) _checkSpliced(walk, index);
        _checkWord(program, sets, walk, _wordAt(data, at), index);
    }

    /// @param index of the word of calldata to name in a refusal
    function _checkWord(
        Program storage program,
        mapping(uint256 set => KeyedList.List) storage sets,
        Walk memory walk,
        uint256 word,
        uint256 index
    ) private view {
        uint8 code = _codeAt(walk.codes, walk.item);
        if (code == RULE_ANY) return;
        uint256 operand = code == RULE_SELF ? uint160(walk.self) : program.operands[walk.item];
        bool fits = word == operand;
        if (code == RULE_LE) fits = word <= operand;
        else if (code == RULE_IN_SET) fits = sets[operand].has(word);
        if (!fits) revert PolicyRegistry.WordRefused(index, code, word, operand);
    }

    /// @dev Measured amounts meet LE and ANY only: no measurement is steered into a checked word.
    function _checkSpliced(Walk memory walk, uint256 index) private pure {
        // A shift by 256 or more leaves no bit.
        uint256 bit = 1 << index;
        if (walk.spliced & bit == 0) return;
        uint8 code = _codeAt(walk.codes, walk.item);
        if (code < RULE_LE) revert PolicyRegistry.SpliceRefused(index, code);
        walk.spliced &= ~bit;
    }

    // ------------------------------------------------------------- drafting

    function _addWord(Draft memory draft, PolicyRegistry.Rule[] calldata rules, uint256 at) private pure {
        if (at >= rules.length) return _add(draft, RULE_ANY, 0);
        uint8 kind = rules[at].kind;
        if (kind < RULE_EQ || kind > RULE_ANY) revert PolicyRegistry.UnsupportedRule(at, kind);
        _add(draft, kind, kind == RULE_SELF || kind == RULE_ANY ? 0 : rules[at].operand);
    }

    function _addLength(Draft memory draft, PolicyRegistry.Rule[] calldata rules, uint256 at) private pure {
        if (at >= rules.length) return;
        uint256 maximum = rules[at].operand;
        if (rules[at].kind != RULE_LENGTH) revert PolicyRegistry.UnsupportedRule(at, rules[at].kind);
        if (maximum == 0 || maximum > MAX_ELEMENTS) revert PolicyRegistry.OperandOutOfRange(at, maximum);
        _add(draft, RULE_LENGTH, maximum);
    }

    /// @return next rule behind those of this argument
    function _addBytes(Draft memory draft, PolicyRegistry.Rule[] calldata rules, uint256 at)
        private
        view
        returns (uint256 next)
    {
        next = at + 1;
        if (at >= rules.length) return next;
        uint256 operand = rules[at].operand;
        if (rules[at].kind == RULE_EQ) {
            _add(draft, CODE_HASH, operand);
        } else if (rules[at].kind == RULE_PARSED) {
            uint256 maximum = operand >> 160;
            if (maximum == 0 || maximum > MAX_BYTES) revert PolicyRegistry.OperandOutOfRange(at, operand);
            _add(draft, RULE_PARSED, operand);
            for (uint256 words = _wordsOf(address(uint160(operand))); words != 0; --words) {
                _addWord(draft, rules, next++);
            }
            _add(draft, CODE_CLOSE, 0);
        } else {
            revert PolicyRegistry.UnsupportedRule(at, rules[at].kind);
        }
    }

    function _wordsOf(address parser) private view returns (uint256 words) {
        if (parser.code.length == 0) revert PolicyRegistry.NotAParser(parser);
        words = IParser(parser).elementWords();
        if (words == 0 || words > MAX_ELEMENT_WORDS) revert PolicyRegistry.NotAParser(parser);
    }

    function _add(Draft memory draft, uint8 code, uint256 operand) private pure {
        if (draft.count == MAX_ITEMS) revert PolicyRegistry.TooManyItems(MAX_ITEMS);
        draft.codes[draft.count] = bytes1(code);
        draft.operands[draft.count++] = operand;
    }

    /// @dev Whatever was ANY before only becomes narrower. Two sets, or a set and a value, are not compared.
    function _isLooser(uint8 code, uint256 operand, uint8 oldCode, uint256 oldOperand)
        private
        pure
        returns (bool)
    {
        if (oldCode == RULE_ANY && code <= RULE_ANY) return false;
        if (code != oldCode) return true;
        if (code == RULE_LE || code == RULE_LENGTH) return operand > oldOperand;
        if (code == RULE_PARSED && uint160(operand) == uint160(oldOperand)) return operand > oldOperand;
        return operand != oldOperand;
    }

    // -------------------------------------------------------------- reading

    function _elementWords(Walk memory walk, uint256 first) private pure returns (uint256 words) {
        while (_codeAt(walk.codes, first + words) != CODE_CLOSE) ++words;
    }

    function _codeAt(bytes32[2] memory codes, uint256 item) private pure returns (uint8) {
        return uint8(codes[item >> 5][item & 31]);
    }

    /// @dev The caller has made sure that it is there.
    function _wordAt(bytes calldata data, uint256 at) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(add(data.offset, at))
        }
    }

    function _indexOf(uint256 at) private pure returns (uint256) {
        return (at - FIRST) / WORD;
    }

    function _lowestBit(uint256 bits) private pure returns (uint256 index) {
        while (bits & (1 << index) == 0) ++index;
    }
}
