// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {KeyedList} from "./KeyedList.sol";
import {TwoStepOwner} from "./TwoStepOwner.sol";

/// @title Policies that are tightened at once and loosened late.
/// @notice A *policy* goes by an address: an executor's own, or a name that many accounts are bound to. Until the
///         owner seals it, it is being set up, and every call of the owner acts at once. Afterwards a call that
///         loosens must have been proposed, word for word, `LOOSENING_DELAY_S` before; a guardian can veto it all
///         that time. What tightens never waits. Sealing cannot be undone, and whoever is under a sealed policy is
///         under a sealed one for good: binding is no way around the wait.
/// @dev A loosening function calls `_loosen`, which looks for a ripe proposal of exactly `msg.data`: signers read,
///      when they propose, the very call that will run. Nothing here calls out.
abstract contract TimeLocked is TwoStepOwner {
    using KeyedList for KeyedList.List;

    // ---------------------------------------------------------------- types

    /// @param readyAt first second at which the call may run [unix s]
    /// @param vetoable by a guardian; the owner can always withdraw
    struct Proposal {
        uint64 readyAt;
        bool vetoable;
    }

    // ------------------------------------------------------------ constants

    uint256 public constant LOOSENING_DELAY_S = 2 days;
    /// @notice How long a proposal stays callable once its delay is over.
    uint256 public constant LOOSENING_WINDOW_S = 14 days;
    /// @notice Longer, for a guardian cannot veto its own removal: the others see it coming, and can act.
    uint256 public constant GUARDIAN_REMOVAL_DELAY_S = 7 days;

    // --------------------------------------------------------------- errors

    error NotGuardian(address caller);
    error NotBinder(address caller);
    error NotProposed(bytes32 id);
    error AlreadyProposed(bytes32 id);
    error TooEarly(uint256 readyAt);
    error Lapsed(uint256 lapsedAt);
    error NotVetoable(bytes32 id);
    error AlreadySealed(address policy);
    error NotSealed(address policy);
    error NotFresh(address executor);

    // --------------------------------------------------------------- events

    event Proposed(bytes32 indexed id, uint256 readyAt, bytes call);
    event Withdrawn(bytes32 indexed id, address indexed by);
    event Spent(bytes32 indexed id);
    event Sealed(address indexed policy);
    event Bound(address indexed executor, address indexed policy);
    event GuardianChanged(address indexed account, bool granted);
    event BinderChanged(address indexed account, bool granted);

    // -------------------------------------------------------------- storage

    mapping(bytes32 id => Proposal) public proposals;
    /// @notice Since when [unix s]; zero: it is being set up.
    mapping(address policy => uint256 time) public sealedAt;
    mapping(address executor => address policy) private _policyOf;
    mapping(address policy => bool) private _written;
    KeyedList.List private _guardians;
    KeyedList.List private _binders;
    /// @notice Once anything is sealed, new binders wait, and guardians go late.
    bool public anySealed;

    // ------------------------------------------------------------ proposals

    /// @param calls calldata of functions of this contract, as they will be called
    function propose(bytes[] calldata calls) external onlyOwner {
        for (uint256 i = 0; i < calls.length; ++i) {
            bytes32 id = keccak256(calls[i]);
            uint256 ready = proposals[id].readyAt;
            if (ready != 0 && block.timestamp <= ready + LOOSENING_WINDOW_S) revert AlreadyProposed(id);
            bool vetoable = bytes4(calls[i]) != this.setGuardian.selector;
            ready = block.timestamp + (vetoable ? LOOSENING_DELAY_S : GUARDIAN_REMOVAL_DELAY_S);
            proposals[id] = Proposal(uint64(ready), vetoable);
            emit Proposed(id, ready, calls[i]);
        }
    }

    /// @notice A guardian's veto, or the owner's second thought.
    function veto(bytes32 id) external {
        if (msg.sender != owner && !isGuardian(msg.sender)) revert NotGuardian(msg.sender);
        if (proposals[id].readyAt == 0) revert NotProposed(id);
        if (msg.sender != owner && !proposals[id].vetoable) revert NotVetoable(id);
        delete proposals[id];
        emit Withdrawn(id, msg.sender);
    }

    // ------------------------------------------------------------- policies

    /// @notice Ends the setting-up of `policy`. Of an executor that is bound to another one: that one comes first.
    function seal(address policy) external onlyOwner {
        if (policyOf(policy) != policy) _mustBeSealed(policyOf(policy));
        _seal(policy);
    }

    function isSealed(address policy) public view returns (bool) {
        return sealedAt[policy] != 0;
    }

    /// @notice The policy that `executor` is under: its own, unless it is bound to another.
    function policyOf(address executor) public view returns (address policy) {
        policy = _policyOf[executor];
        if (policy == address(0)) policy = executor;
    }

    /// @notice Puts `executor` under `policy`; zero means its own.
    /// @dev From a sealed policy the way leads late, and only to one that was sealed for as long as the wait: until
    ///      then it could be written anew at once, and what guardians look at would not be what comes. A binder may
    ///      bind only where nobody has written, sealed or bound before, and only to what is sealed.
    function bind(address executor, address policy) external {
        if (msg.sender == owner) {
            if (isSealed(executor) || isSealed(policyOf(executor))) {
                address to = policy == address(0) ? executor : policy;
                _mustBeSealed(to);
                _spend();
                uint256 seen = sealedAt[to] + LOOSENING_DELAY_S;
                if (block.timestamp < seen) revert TooEarly(seen);
            } else {
                _loosen(executor);
            }
        } else {
            if (!isBinder(msg.sender)) revert NotBinder(msg.sender);
            if (_policyOf[executor] != address(0) || isSealed(executor) || _written[executor]) {
                revert NotFresh(executor);
            }
            _mustBeSealed(policy);
            _seal(executor);
        }
        _policyOf[executor] = policy;
        emit Bound(executor, policy);
    }

    // ---------------------------------------------------------------- roles

    function setGuardian(address account, bool granted) external onlyOwner {
        if (granted) {
            _guardians.add(uint160(account));
        } else {
            if (anySealed) _spend();
            _guardians.remove(uint160(account));
        }
        emit GuardianChanged(account, granted);
    }

    function setBinder(address account, bool granted) external onlyOwner {
        if (granted) {
            if (anySealed) _spend();
            _binders.add(uint160(account));
        } else {
            _binders.remove(uint160(account));
        }
        emit BinderChanged(account, granted);
    }

    function isGuardian(address account) public view returns (bool) {
        return _guardians.has(uint160(account));
    }

    /// @notice Who may bind accounts that nobody configured yet to sealed policies: the account factory.
    function isBinder(address account) public view returns (bool) {
        return _binders.has(uint160(account));
    }

    /// @return accounts in no order
    function guardians() external view returns (uint256[] memory accounts) {
        return _guardians.items;
    }

    /// @return accounts in no order
    function binders() external view returns (uint256[] memory accounts) {
        return _binders.items;
    }

    // -------------------------------------------------------------- internal

    /// @dev For every write that may let `policy` do more than before.
    function _loosen(address policy) internal {
        if (isSealed(policy)) _spend();
        else if (!_written[policy]) _written[policy] = true;
    }

    function _seal(address policy) private {
        if (isSealed(policy)) revert AlreadySealed(policy);
        sealedAt[policy] = block.timestamp;
        if (!anySealed) anySealed = true;
        emit Sealed(policy);
    }

    function _mustBeSealed(address policy) private view {
        if (!isSealed(policy)) revert NotSealed(policy);
    }

    function _spend() private {
        bytes32 id = keccak256(msg.data);
        uint256 ready = proposals[id].readyAt;
        if (ready == 0) revert NotProposed(id);
        if (block.timestamp < ready) revert TooEarly(ready);
        if (block.timestamp > ready + LOOSENING_WINDOW_S) revert Lapsed(ready + LOOSENING_WINDOW_S);
        delete proposals[id];
        emit Spent(id);
    }
}
