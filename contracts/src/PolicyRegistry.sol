// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {Arguments} from "./Arguments.sol";
import {
    IPolicyRegistry,
    FACTORY_ALGEBRA,
    FACTORY_SOLIDLY,
    FACTORY_UNISWAP_V2,
    FACTORY_UNISWAP_V3,
    LENDER_ERC3156,
    TOKEN_DEBT,
    TOKEN_PAID_OUT
} from "./IPolicyRegistry.sol";
import {KeyedList} from "./KeyedList.sol";
import {Signatures} from "./Signatures.sol";
import {TimeLocked} from "./TimeLocked.sol";
import {IERC20, Tokens} from "./Tokens.sol";
import {TwoStepOwner} from "./TwoStepOwner.sol";

/// @title What each executor may do: calls by (target, selector) and argument, tokens, lenders, factories.
/// @notice Separate from the executors, so that the policy has an owner of its own and no executor key can touch
///         it. Everything is refused until listed. Once a policy is sealed, what loosens it waits (TimeLocked),
///         and every revocation acts at once. The whole policy can be read back.
/// @dev Listings are versioned. Version 1 knows static heads only; version 2 dynamic arguments too, in so far as
///      Arguments covers them. Targets that carry nested calls (multicalls, routers, flash loans) cannot be
///      expressed, on purpose.
contract PolicyRegistry is IPolicyRegistry, TimeLocked {
    using Arguments for Arguments.Program;
    using KeyedList for KeyedList.List;

    // ---------------------------------------------------------------- types

    /// @param kind RULE_*
    /// @param operand EQ: the value (of `bytes` and `string`: their hash); IN_SET: the set's id; LE: the limit;
    ///        LENGTH: most elements; PARSED: most bytes << 160 | parser; SELF and ANY: zero
    struct Rule {
        uint8 kind;
        uint256 operand;
    }

    /// @param version LISTING_*
    /// @param reduce callable in REDUCE_ONLY too
    /// @param maxNative most native coin a call may carry [wei]
    /// @param spender who may be allowed tokens during the call; zero means the target itself
    /// @param rules in the order of the signature, see Arguments
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
        uint8 items;
        uint8 headWords;
        uint128 maxNative;
        address spender;
        Arguments.Program program;
        string signature;
    }

    struct Token {
        uint8 class;
        bool allowance;
        uint8 position; // in the policy's list, from 1
    }

    struct Factory {
        uint8 kind;
        bool reduce;
        uint24 feePpm;
        bytes32 initCodeHash;
    }

    // ------------------------------------------------------------ constants

    uint8 public constant LISTING_STATIC_HEADS = 1;
    uint8 public constant LISTING_DYNAMIC_ARGUMENTS = 2;

    uint8 public constant RULE_EQ = Arguments.RULE_EQ;
    uint8 public constant RULE_SELF = Arguments.RULE_SELF;
    uint8 public constant RULE_IN_SET = Arguments.RULE_IN_SET;
    uint8 public constant RULE_LE = Arguments.RULE_LE;
    uint8 public constant RULE_ANY = Arguments.RULE_ANY;
    uint8 public constant RULE_LENGTH = Arguments.RULE_LENGTH;
    uint8 public constant RULE_PARSED = Arguments.RULE_PARSED;

    /// @notice The native coin counts as one of them and is always there.
    uint256 public constant MAX_TRACKED_TOKENS = 32;
    uint256 private constant PPM = 1_000_000;

    // --------------------------------------------------------------- errors

    error UnsupportedVersion(uint8 version);
    error DynamicPart(string signature);
    error NoCode(address account);
    error TargetIsOurOwn(address target);
    error TooManyTokens(uint256 limit);
    error UnknownClass(uint8 class);
    error UnknownKind(uint8 kind);
    error FeeOutOfRange(uint256 feePpm);
    error NativeIsAlwaysTracked();
    error AllowanceOnDebt(address token);

    // How a listing is unfit, and how calldata is: `word` counts from behind the selector, `rule` from zero.
    error UnsupportedRule(uint256 rule, uint8 kind);
    error OperandOutOfRange(uint256 rule, uint256 operand);
    error WrongRuleCount(uint256 expected, uint256 given);
    error TooManyItems(uint256 limit);
    error NotAParser(address parser);

    error CalldataLength(uint256 length, uint256 expected);
    error WordRefused(uint256 word, uint8 rule, uint256 value, uint256 operand);
    error SpliceRefused(uint256 word, uint8 rule);
    error NotCanonical(uint256 word);
    error TooLong(uint256 word, uint256 length, uint256 maximum);
    error ParserAnswer(address parser, uint256 words);

    error NotListed(address executor, address target, bytes4 selector);
    error CalldataTooShort(uint256 length);
    error NativeAboveMaximum(uint256 value, uint256 maximum);
    error NotReducing(address target, bytes4 selector);
    error SpenderRefused(address spender, address expected);
    error AllowanceRefused(address token);
    error LenderRefused(address lender, uint8 kind);
    error FactoryRefused(address factory, uint8 kind);
    error TokenUntracked(address token);
    error NoPool(address pool);

    // --------------------------------------------------------------- events

    event Listed(
        address indexed policy, address indexed target, bytes4 indexed selector, string signature, Entry entry
    );
    event Unlisted(address indexed policy, address indexed target, bytes4 indexed selector);
    event MembersChanged(address indexed policy, uint256 indexed set, uint256[] members, bool included);
    event TokenChanged(address indexed policy, address indexed token, uint8 class, bool allowance);
    event LenderChanged(address indexed policy, address indexed lender, uint8 kind);
    event FactoryChanged(
        address indexed policy,
        address indexed factory,
        uint8 kind,
        bytes32 initCodeHash,
        uint24 feePpm,
        bool reduce
    );

    // -------------------------------------------------------------- storage

    mapping(bytes32 key => Listing) private _listings;
    mapping(address policy => mapping(uint256 set => KeyedList.List)) private _members;
    mapping(address policy => uint256[]) private _tracked;
    mapping(address policy => mapping(address token => Token)) public tokens;
    mapping(address policy => mapping(address lender => uint8)) public lenders;
    mapping(address policy => mapping(address factory => Factory)) public factories;

    mapping(address policy => KeyedList.List) private _listed;
    mapping(address policy => KeyedList.List) private _sets;
    mapping(address policy => KeyedList.List) private _lenders;
    mapping(address policy => KeyedList.List) private _factories;

    constructor(address owner_) TwoStepOwner(owner_) {}

    // ------------------------------------------------- what the owner writes

    /// @notice Listing again what is listed tightens at once where every part is as narrow or narrower.
    /// @param signature e.g. `withdraw(uint256)`
    function list(address policy, address target, string calldata signature, Entry calldata entry)
        external
        onlyOwner
    {
        if (target == policy || target == address(this)) revert TargetIsOurOwn(target);
        if (target.code.length == 0) revert NoCode(target);
        Arguments.Draft memory draft = Arguments.compile(signature, entry.rules);
        if (entry.version != LISTING_DYNAMIC_ARGUMENTS) {
            if (entry.version != LISTING_STATIC_HEADS) revert UnsupportedVersion(entry.version);
            if (draft.dynamic) revert DynamicPart(signature);
        }
        Signatures.mustBeOrdinary(signature);

        bytes4 selector = bytes4(keccak256(bytes(signature)));
        Listing storage listing = _listings[_key(policy, target, selector)];
        bool looser = listing.version == 0 || (entry.reduce && !listing.reduce)
            || entry.maxNative > listing.maxNative || entry.spender != listing.spender;
        if (listing.program.store(draft)) looser = true;
        if (looser) _loosen(policy);

        listing.version = entry.version;
        listing.reduce = entry.reduce;
        listing.items = uint8(draft.count);
        listing.headWords = uint8(draft.headWords);
        listing.maxNative = entry.maxNative;
        listing.spender = entry.spender;
        listing.signature = signature;
        _listed[policy].add(_packed(target, selector));
        emit Listed(policy, target, selector, signature, entry);
    }

    function unlist(address policy, address target, bytes4 selector) external onlyOwner {
        _listings[_key(policy, target, selector)].version = 0;
        _listed[policy].remove(_packed(target, selector));
        emit Unlisted(policy, target, selector);
    }

    function setMembers(address policy, uint256 set, uint256[] calldata members, bool included)
        external
        onlyOwner
    {
        KeyedList.List storage present = _members[policy][set];
        bool looser = false;
        for (uint256 i = 0; i < members.length; ++i) {
            if (!included) present.remove(members[i]);
            else if (present.add(members[i])) looser = true;
        }
        if (looser) _loosen(policy);
        _sets[policy].add(set);
        emit MembersChanged(policy, set, members, included);
    }

    /// @notice Adds, changes or (class zero) drops a token that an executor may hold or owe.
    /// @dev Tracking protects what is tracked, so dropping a token waits too. One that answers no longer would
    ///      block every execution: it may go at once.
    function setToken(address policy, address token, uint8 class, bool allowance) external onlyOwner {
        if (token == Tokens.NATIVE) revert NativeIsAlwaysTracked();
        if (class > TOKEN_DEBT) revert UnknownClass(class);
        if (class == TOKEN_DEBT && allowance) revert AllowanceOnDebt(token);
        if (class != 0 && token.code.length == 0) revert NoCode(token);
        Token storage entry = tokens[policy][token];
        if (class == 0) {
            if (entry.position == 0) revert TokenUntracked(token);
            if (_answers(token)) _loosen(policy);
            _drop(policy, token, entry.position);
        } else {
            if (class != entry.class || (allowance && !entry.allowance)) _loosen(policy);
            uint256[] storage tracked = _tracked[policy];
            if (entry.position == 0) {
                if (tracked.length + 1 == MAX_TRACKED_TOKENS) revert TooManyTokens(MAX_TRACKED_TOKENS);
                tracked.push();
                entry.position = uint8(tracked.length);
            }
            tracked[entry.position - 1] = uint256(class) << 160 | uint160(token);
            entry.class = class;
            entry.allowance = allowance;
        }
        emit TokenChanged(policy, token, class, allowance);
    }

    /// @param kind LENDER_*, or zero to revoke
    function setLender(address policy, address lender, uint8 kind) external onlyOwner {
        if (kind > LENDER_ERC3156) revert UnknownKind(kind);
        if (kind == 0) {
            _lenders[policy].remove(uint160(lender));
        } else {
            if (lender.code.length == 0) revert NoCode(lender);
            if (kind != lenders[policy][lender]) _loosen(policy);
            _lenders[policy].add(uint160(lender));
        }
        lenders[policy][lender] = kind;
        emit LenderChanged(policy, lender, kind);
    }

    /// @param kind FACTORY_*, or zero to revoke
    /// @param feePpm the pools' fee where the factory has one fee (UNISWAP_V2), else zero
    /// @param reduce its pools may be used in REDUCE_ONLY too
    function setFactory(
        address policy,
        address factory,
        uint8 kind,
        bytes32 initCodeHash,
        uint24 feePpm,
        bool reduce
    ) external onlyOwner {
        if (kind > FACTORY_ALGEBRA) revert UnknownKind(kind);
        if (feePpm >= PPM || (kind != FACTORY_UNISWAP_V2 && feePpm != 0)) revert FeeOutOfRange(feePpm);
        if (kind == 0) {
            _factories[policy].remove(uint160(factory));
        } else {
            if (factory.code.length == 0) revert NoCode(factory);
            Factory storage present = factories[policy][factory];
            if (
                kind != present.kind || initCodeHash != present.initCodeHash || feePpm != present.feePpm
                    || (reduce && !present.reduce)
            ) _loosen(policy);
            _factories[policy].add(uint160(factory));
        }
        factories[policy][factory] = Factory(kind, reduce, feePpm, initCodeHash);
        emit FactoryChanged(policy, factory, kind, initCodeHash, feePpm, reduce);
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
        address policy = policyOf(msg.sender);
        Listing storage listing = _listings[_key(policy, target, selector)];
        if (listing.version == 0) revert NotListed(msg.sender, target, selector);
        // A shared policy could list one of the accounts that are under it.
        if (target == msg.sender) revert TargetIsOurOwn(target);
        if (reducing && !listing.reduce) revert NotReducing(target, selector);
        if (value > listing.maxNative) revert NativeAboveMaximum(value, listing.maxNative);

        Arguments.Walk memory walk;
        walk.spliced = splicedWords;
        walk.self = msg.sender;
        listing.program.check(_members[policy], data, listing.headWords, walk);
    }

    /// @inheritdoc IPolicyRegistry
    function checkAllowance(address target, bytes4 selector, address token, address spender) external view {
        address policy = policyOf(msg.sender);
        if (!tokens[policy][token].allowance) revert AllowanceRefused(token);
        address named = _listings[_key(policy, target, selector)].spender;
        address expected = named == address(0) ? target : named;
        if (spender != expected) revert SpenderRefused(spender, expected);
    }

    /// @inheritdoc IPolicyRegistry
    function checkLender(address lender, uint8 kind, address[] calldata loaned) external view {
        address policy = policyOf(msg.sender);
        if (kind == 0 || lenders[policy][lender] != kind) revert LenderRefused(lender, kind);
        for (uint256 i = 0; i < loaned.length; ++i) {
            _mustBeAsset(policy, loaned[i]);
        }
    }

    /// @inheritdoc IPolicyRegistry
    function poolOf(uint8 kind, address factory, address tokenIn, address tokenOut, uint24 fee, bool reducing)
        external
        view
        returns (address pool, uint256 feePpm)
    {
        address policy = policyOf(msg.sender);
        Factory storage entry = factories[policy][factory];
        if (kind == 0 || entry.kind != kind) revert FactoryRefused(factory, kind);
        if (reducing && !entry.reduce) revert NotReducing(factory, 0);
        _mustBeAsset(policy, tokenIn);
        _mustBeAsset(policy, tokenOut);
        bytes32 salt = _saltOf(kind, tokenIn, tokenOut, fee);
        pool = address(
            uint160(uint256(keccak256(abi.encodePacked(hex"ff", factory, salt, entry.initCodeHash))))
        );
        if (pool.code.length == 0) revert NoPool(pool);
        feePpm = entry.feePpm;
    }

    /// @inheritdoc IPolicyRegistry
    function trackedTokens(address executor) external view returns (uint256[] memory packed) {
        uint256[] storage list_ = _tracked[policyOf(executor)];
        uint256 length = list_.length;
        packed = new uint256[](length + 1);
        packed[0] = uint256(TOKEN_PAID_OUT) << 160 | uint160(Tokens.NATIVE);
        for (uint256 i = 0; i < length; ++i) {
            packed[i + 1] = list_[i];
        }
    }

    // ----------------------------------------------------- what anyone reads

    /// @return signature empty where there is no listing
    /// @return entry the listing as it stands; `entry.version` is zero where there is none
    function listingOf(address policy, address target, bytes4 selector)
        external
        view
        returns (string memory signature, Entry memory entry)
    {
        Listing storage listing = _listings[_key(policy, target, selector)];
        if (listing.version == 0) return (signature, entry);
        signature = listing.signature;
        entry = Entry(
            listing.version,
            listing.reduce,
            listing.maxNative,
            listing.spender,
            listing.program.rulesOf(listing.items)
        );
    }

    /// @return packed selector << 160 | target, in no order
    function listingsOf(address policy) external view returns (uint256[] memory packed) {
        return _listed[policy].items;
    }

    function setsOf(address policy) external view returns (uint256[] memory) {
        return _sets[policy].items;
    }

    function membersOf(address policy, uint256 set) external view returns (uint256[] memory) {
        return _members[policy][set].items;
    }

    function lendersOf(address policy) external view returns (uint256[] memory) {
        return _lenders[policy].items;
    }

    function factoriesOf(address policy) external view returns (uint256[] memory) {
        return _factories[policy].items;
    }

    // -------------------------------------------------------------- internal

    function _drop(address policy, address token, uint256 position) private {
        uint256[] storage tracked = _tracked[policy];
        uint256 last = tracked[tracked.length - 1];
        tracked[position - 1] = last;
        tokens[policy][address(uint160(last))].position = uint8(position);
        tracked.pop();
        delete tokens[policy][token];
    }

    function _answers(address token) private view returns (bool) {
        (bool ok, bytes memory answer) = token.staticcall(abi.encodeCall(IERC20.balanceOf, (address(this))));
        return ok && answer.length >= 32;
    }

    function _saltOf(uint8 kind, address tokenIn, address tokenOut, uint24 fee)
        private
        pure
        returns (bytes32)
    {
        (address token0, address token1) = tokenIn < tokenOut ? (tokenIn, tokenOut) : (tokenOut, tokenIn);
        if (kind == FACTORY_UNISWAP_V3) return keccak256(abi.encode(token0, token1, fee));
        if (kind == FACTORY_SOLIDLY) {
            if (fee > 1) revert FeeOutOfRange(fee);
            return keccak256(abi.encodePacked(token0, token1, fee == 1));
        }
        if (fee != 0) revert FeeOutOfRange(fee);
        if (kind == FACTORY_ALGEBRA) return keccak256(abi.encode(token0, token1));
        return keccak256(abi.encodePacked(token0, token1));
    }

    function _key(address policy, address target, bytes4 selector) private pure returns (bytes32) {
        return keccak256(abi.encode(policy, target, selector));
    }

    function _packed(address target, bytes4 selector) private pure returns (uint256) {
        return uint256(uint32(selector)) << 160 | uint160(target);
    }

    function _mustBeAsset(address policy, address token) private view {
        uint8 class = tokens[policy][token].class;
        if (class == 0 || class == TOKEN_DEBT) revert TokenUntracked(token);
    }
}
