// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {
    IPolicyRegistry,
    TOKEN_DEBT,
    TOKEN_PAID_OUT,
    LENDER_BALANCER_V2,
    FACTORY_UNISWAP_V2,
    FACTORY_UNISWAP_V3
} from "./IPolicyRegistry.sol";
import {Signatures} from "./Signatures.sol";
import {Tokens} from "./Tokens.sol";
import {TwoStepOwner} from "./TwoStepOwner.sol";

/// @title What each executor may do: calls by (target, selector) and argument, tokens, lenders, factories.
/// @notice Separate from the executors, so that the policy has an owner of its own and no executor key can touch
///         it. Everything is refused until listed, and every listing can be revoked at once.
/// @dev Listings are versioned. Version 1 knows static heads only: exact length, one rule a word. Targets that
///      carry nested calls (`bytes` arguments: multicalls, routers, flash loans) cannot be expressed, on purpose.
contract PolicyRegistry is IPolicyRegistry, TwoStepOwner {
    // ---------------------------------------------------------------- types

    /// @param kind RULE_*
    /// @param operand EQ: the value; IN_SET: the set's id; LE: the limit; SELF and ANY: zero
    struct Rule {
        uint8 kind;
        uint256 operand;
    }

    /// @param version LISTING_STATIC_HEADS
    /// @param reduce callable in REDUCE_ONLY too
    /// @param maxNative most native coin a call may carry [wei]
    /// @param spender who may be allowed tokens during the call; zero means the target itself
    /// @param rules one a head word, in order
    struct Entry {
        uint8 version;
        bool reduce;
        uint128 maxNative;
        address spender;
        Rule[] rules;
    }

    struct Listing {
        uint8 version;
        bool reduce;
        uint8 words;
        uint128 maxNative;
        address spender;
        bytes32 kinds;
        mapping(uint256 word => uint256) operands;
    }

    struct Token {
        uint8 class;
        bool allowance;
        uint8 position; // in the executor's list, from 1
    }

    struct Factory {
        uint8 kind;
        bool reduce;
        uint24 feePpm;
        bytes32 initCodeHash;
    }

    // ------------------------------------------------------------ constants

    uint8 public constant LISTING_STATIC_HEADS = 1;

    uint8 public constant RULE_EQ = 1;
    uint8 public constant RULE_SELF = 2;
    uint8 public constant RULE_IN_SET = 3;
    uint8 public constant RULE_LE = 4;
    uint8 public constant RULE_ANY = 5;

    uint256 public constant MAX_WORDS = 32;
    /// @notice The native coin counts as one of them and is always there.
    uint256 public constant MAX_TRACKED_TOKENS = 16;
    uint256 private constant PPM = 1_000_000;

    // --------------------------------------------------------------- errors

    error UnsupportedVersion(uint8 version);
    error UnsupportedRule(uint256 word, uint8 kind);
    error WrongRuleCount(uint256 words, uint256 rules);
    error NoCode(address account);
    error TargetIsOurOwn(address target);
    error TooManyTokens(uint256 limit);
    error UnknownClass(uint8 class);
    error UnknownKind(uint8 kind);
    error FeeOutOfRange(uint256 feePpm);
    error NativeIsAlwaysTracked();
    error AllowanceOnDebt(address token);

    error NotListed(address executor, address target, bytes4 selector);
    error CalldataTooShort(uint256 length);
    error CalldataLength(uint256 length, uint256 expected);
    error NativeAboveMaximum(uint256 value, uint256 maximum);
    error WordRefused(uint256 word, uint8 rule, uint256 value, uint256 operand);
    error SpliceRefused(uint256 word, uint8 rule);
    error NotReducing(address target, bytes4 selector);
    error SpenderRefused(address spender, address expected);
    error AllowanceRefused(address token);
    error LenderRefused(address lender, uint8 kind);
    error FactoryRefused(address factory, uint8 kind);
    error TokenUntracked(address token);
    error NoPool(address pool);

    // --------------------------------------------------------------- events

    event Listed(
        address indexed executor,
        address indexed target,
        bytes4 indexed selector,
        string signature,
        Entry entry
    );
    event Unlisted(address indexed executor, address indexed target, bytes4 indexed selector);
    event MembersChanged(uint256 indexed set, uint256[] members, bool included);
    event TokenChanged(address indexed executor, address indexed token, uint8 class, bool allowance);
    event LenderChanged(address indexed executor, address indexed lender, uint8 kind);
    event FactoryChanged(
        address indexed executor,
        address indexed factory,
        uint8 kind,
        bytes32 initCodeHash,
        uint24 feePpm,
        bool reduce
    );

    // -------------------------------------------------------------- storage

    mapping(bytes32 key => Listing) private _listings;
    mapping(uint256 set => mapping(uint256 member => bool)) public isMember;
    mapping(address executor => uint256[]) private _tracked;
    mapping(address executor => mapping(address token => Token)) public tokens;
    mapping(address executor => mapping(address lender => uint8)) public lenders;
    mapping(address executor => mapping(address factory => Factory)) public factories;

    constructor(address owner_) TwoStepOwner(owner_) {}

    // ------------------------------------------------- what the owner writes

    /// @param signature e.g. `withdraw(uint256)`; its types must all be static
    function list(address executor, address target, string calldata signature, Entry calldata entry)
        external
        onlyOwner
    {
        if (entry.version != LISTING_STATIC_HEADS) revert UnsupportedVersion(entry.version);
        if (target == executor || target == address(this)) revert TargetIsOurOwn(target);
        if (target.code.length == 0) revert NoCode(target);
        uint256 words = Signatures.staticWords(signature);
        Signatures.mustBeOrdinary(signature);
        if (words != entry.rules.length || words > MAX_WORDS) {
            revert WrongRuleCount(words, entry.rules.length);
        }

        bytes4 selector = bytes4(keccak256(bytes(signature)));
        Listing storage listing = _listings[_key(executor, target, selector)];
        uint256 kinds = 0;
        for (uint256 i = 0; i < words; ++i) {
            Rule calldata rule = entry.rules[i];
            if (rule.kind < RULE_EQ || rule.kind > RULE_ANY) revert UnsupportedRule(i, rule.kind);
            kinds |= uint256(rule.kind) << (248 - 8 * i);
            listing.operands[i] = rule.operand;
        }
        listing.version = entry.version;
        listing.reduce = entry.reduce;
        listing.words = uint8(words);
        listing.maxNative = entry.maxNative;
        listing.spender = entry.spender;
        listing.kinds = bytes32(kinds);
        emit Listed(executor, target, selector, signature, entry);
    }

    function unlist(address executor, address target, bytes4 selector) external onlyOwner {
        _listings[_key(executor, target, selector)].version = 0;
        emit Unlisted(executor, target, selector);
    }

    function setMembers(uint256 set, uint256[] calldata members, bool included) external onlyOwner {
        for (uint256 i = 0; i < members.length; ++i) {
            isMember[set][members[i]] = included;
        }
        emit MembersChanged(set, members, included);
    }

    /// @notice Adds, changes or (class zero) drops a token that `executor` may hold or owe.
    function setToken(address executor, address token, uint8 class, bool allowance) external onlyOwner {
        if (token == Tokens.NATIVE) revert NativeIsAlwaysTracked();
        if (class > TOKEN_DEBT) revert UnknownClass(class);
        if (class == TOKEN_DEBT && allowance) revert AllowanceOnDebt(token);
        if (class != 0 && token.code.length == 0) revert NoCode(token);
        uint256[] storage list_ = _tracked[executor];
        Token storage entry = tokens[executor][token];
        uint256 position = entry.position;
        if (class == 0) {
            if (position == 0) revert TokenUntracked(token);
            uint256 last = list_[list_.length - 1];
            list_[position - 1] = last;
            tokens[executor][address(uint160(last))].position = uint8(position);
            list_.pop();
            delete tokens[executor][token];
        } else {
            uint256 packed = uint256(class) << 160 | uint160(token);
            if (position == 0) {
                if (list_.length + 1 == MAX_TRACKED_TOKENS) revert TooManyTokens(MAX_TRACKED_TOKENS);
                list_.push(packed);
                entry.position = uint8(list_.length);
            } else {
                list_[position - 1] = packed;
            }
            entry.class = class;
            entry.allowance = allowance;
        }
        emit TokenChanged(executor, token, class, allowance);
    }

    /// @param kind LENDER_*, or zero to revoke
    function setLender(address executor, address lender, uint8 kind) external onlyOwner {
        if (kind > LENDER_BALANCER_V2) revert UnknownKind(kind);
        if (kind != 0 && lender.code.length == 0) revert NoCode(lender);
        lenders[executor][lender] = kind;
        emit LenderChanged(executor, lender, kind);
    }

    /// @param kind FACTORY_*, or zero to revoke
    /// @param feePpm the pools' fee where the factory has one fee (V2 kinds), else zero
    /// @param reduce its pools may be used in REDUCE_ONLY too
    function setFactory(
        address executor,
        address factory,
        uint8 kind,
        bytes32 initCodeHash,
        uint24 feePpm,
        bool reduce
    ) external onlyOwner {
        if (kind > FACTORY_UNISWAP_V3) revert UnknownKind(kind);
        if (kind != 0 && factory.code.length == 0) revert NoCode(factory);
        if (feePpm >= PPM || (kind != FACTORY_UNISWAP_V2 && feePpm != 0)) revert FeeOutOfRange(feePpm);
        factories[executor][factory] = Factory(kind, reduce, feePpm, initCodeHash);
        emit FactoryChanged(executor, factory, kind, initCodeHash, feePpm, reduce);
    }

    // ------------------------------------------------- what an executor asks

    /// @inheritdoc IPolicyRegistry
    function checkCall(
        address target,
        uint256 value,
        bytes calldata data,
        uint256 splicedWords,
        bool reducing
    ) external view {
        if (data.length < 4) revert CalldataTooShort(data.length);
        if (target.code.length == 0) revert NoCode(target);
        bytes4 selector = bytes4(data);
        Listing storage listing = _listings[_key(msg.sender, target, selector)];
        if (listing.version != LISTING_STATIC_HEADS) revert NotListed(msg.sender, target, selector);
        if (reducing && !listing.reduce) revert NotReducing(target, selector);
        if (value > listing.maxNative) revert NativeAboveMaximum(value, listing.maxNative);
        uint256 words = listing.words;
        if (data.length != 4 + 32 * words) revert CalldataLength(data.length, 4 + 32 * words);

        bytes32 kinds = listing.kinds;
        for (uint256 i = 0; i < words; ++i) {
            uint8 kind = uint8(kinds[i]);
            if (kind < RULE_LE && splicedWords & (1 << i) != 0) revert SpliceRefused(i, kind);
            if (kind == RULE_ANY) continue;
            uint256 word = uint256(bytes32(data[4 + 32 * i:]));
            uint256 operand = kind == RULE_SELF ? uint160(msg.sender) : listing.operands[i];
            if (!_fits(kind, word, operand)) revert WordRefused(i, kind, word, operand);
        }
    }

    /// @inheritdoc IPolicyRegistry
    function checkAllowance(address target, bytes4 selector, address token, address spender) external view {
        if (!tokens[msg.sender][token].allowance) revert AllowanceRefused(token);
        address named = _listings[_key(msg.sender, target, selector)].spender;
        address expected = named == address(0) ? target : named;
        if (spender != expected) revert SpenderRefused(spender, expected);
    }

    /// @inheritdoc IPolicyRegistry
    function checkLender(address lender, uint8 kind, address[] calldata loaned) external view {
        if (kind == 0 || lenders[msg.sender][lender] != kind) revert LenderRefused(lender, kind);
        for (uint256 i = 0; i < loaned.length; ++i) {
            _mustBeAsset(loaned[i]);
        }
    }

    /// @inheritdoc IPolicyRegistry
    function poolOf(uint8 kind, address factory, address tokenIn, address tokenOut, uint24 fee, bool reducing)
        external
        view
        returns (address pool, uint256 feePpm)
    {
        Factory storage entry = factories[msg.sender][factory];
        if (kind == 0 || entry.kind != kind) revert FactoryRefused(factory, kind);
        if (reducing && !entry.reduce) revert NotReducing(factory, 0);
        _mustBeAsset(tokenIn);
        _mustBeAsset(tokenOut);
        (address token0, address token1) = tokenIn < tokenOut ? (tokenIn, tokenOut) : (tokenOut, tokenIn);
        bytes32 salt = kind == FACTORY_UNISWAP_V2
            ? keccak256(abi.encodePacked(token0, token1))
            : keccak256(abi.encode(token0, token1, fee));
        pool = address(
            uint160(uint256(keccak256(abi.encodePacked(hex"ff", factory, salt, entry.initCodeHash))))
        );
        if (pool.code.length == 0) revert NoPool(pool);
        feePpm = entry.feePpm;
    }

    /// @inheritdoc IPolicyRegistry
    function trackedTokens(address executor) external view returns (uint256[] memory packed) {
        uint256[] storage list_ = _tracked[executor];
        uint256 length = list_.length;
        packed = new uint256[](length + 1);
        packed[0] = uint256(TOKEN_PAID_OUT) << 160 | uint160(Tokens.NATIVE);
        for (uint256 i = 0; i < length; ++i) {
            packed[i + 1] = list_[i];
        }
    }

    // ----------------------------------------------------- what anyone reads

    /// @return entry the listing as it stands; `entry.version` is zero where there is none
    function listingOf(address executor, address target, bytes4 selector)
        external
        view
        returns (Entry memory entry)
    {
        Listing storage listing = _listings[_key(executor, target, selector)];
        if (listing.version == 0) return entry;
        Rule[] memory rules = new Rule[](listing.words);
        for (uint256 i = 0; i < rules.length; ++i) {
            rules[i] = Rule(uint8(listing.kinds[i]), listing.operands[i]);
        }
        entry = Entry(listing.version, listing.reduce, listing.maxNative, listing.spender, rules);
    }

    // -------------------------------------------------------------- internal

    function _key(address executor, address target, bytes4 selector) private pure returns (bytes32) {
        return keccak256(abi.encode(executor, target, selector));
    }

    function _fits(uint8 kind, uint256 word, uint256 operand) private view returns (bool) {
        if (kind == RULE_LE) return word <= operand;
        if (kind == RULE_IN_SET) return isMember[operand][word];
        return word == operand;
    }

    function _mustBeAsset(address token) private view {
        uint8 class = tokens[msg.sender][token].class;
        if (class == 0 || class == TOKEN_DEBT) revert TokenUntracked(token);
    }
}
