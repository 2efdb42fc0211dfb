// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {KeyedList} from "./KeyedList.sol";
import {Scratch} from "./Scratch.sol";
import {TwoStepOwner} from "./TwoStepOwner.sol";

/// @title Who may execute, who may stop, and how the owner gets stranded assets back.
/// @notice RUN, REDUCE_ONLY, HALT: one hand lowers, only the owner raises. A pauser reaches REDUCE_ONLY, since a
///         stop that also blocks repayment would cause the liquidation it fears; HALT takes the guardian or owner.
abstract contract Authority is TwoStepOwner {
    using KeyedList for KeyedList.List;

    enum Level {
        RUN,
        REDUCE_ONLY,
        HALT
    }

    struct RescueCall {
        address target;
        uint256 value;
        bytes data;
    }

    uint8 public constant ROLE_OPERATOR = 1;
    uint8 public constant ROLE_PAUSER = 2;
    uint8 public constant ROLE_GUARDIAN = 4;

    uint256 public constant RESCUE_DELAY_S = 2 days;
    /// @notice How long a rescue stays callable once its delay is over.
    uint256 public constant RESCUE_WINDOW_S = 14 days;

    error MissingRole(address caller, uint8 role);
    error UnknownRole(uint8 role);
    error NotRaised(Level current, Level wanted);
    error Halted();
    error BusyExecuting();
    error RescueNotProposed(bytes32 id);
    error RescueAlreadyProposed(bytes32 id);
    error RescueTooEarly(uint256 readyAt);
    error RescueLapsed(uint256 lapsedAt);
    error RescueCallFailed(uint256 index, bytes reason);

    event RoleChanged(address indexed account, uint8 indexed role, bool granted);
    event LevelChanged(Level indexed level, address indexed by);
    event HealthFloorChanged(uint64 floor);
    event RescueProposed(bytes32 indexed id, uint256 readyAt, RescueCall[] calls, bytes32 salt);
    event RescueVetoed(bytes32 indexed id, address indexed by);
    event Rescued(bytes32 indexed id);

    Level public level;
    /// @notice No plan may lower a health factor that the risk book lists to below this [1e18]; zero: no floor. Past
    ///         the edge others liquidate, and what that costs is no loss of any execution: no cap would count it.
    uint64 public healthFloor;
    mapping(address account => uint8 roles) public rolesOf;
    mapping(bytes32 id => uint256 time) public rescueReadyAt;
    KeyedList.List private _holders;

    modifier onlyRole(uint8 role) {
        _mustHave(role);
        _;
    }

    /// @dev The owner's hands are off while a plan runs, whoever the owner is.
    modifier whenIdle() {
        if (Scratch.executing()) revert BusyExecuting();
        _;
    }

    // --------------------------------------------------------------- levels

    function reduceOnly() external {
        uint8 stopping = ROLE_PAUSER | ROLE_GUARDIAN;
        if (msg.sender != owner && rolesOf[msg.sender] & stopping == 0) {
            revert MissingRole(msg.sender, ROLE_PAUSER);
        }
        _lower(Level.REDUCE_ONLY);
    }

    function halt() external {
        if (msg.sender != owner && rolesOf[msg.sender] & ROLE_GUARDIAN == 0) {
            revert MissingRole(msg.sender, ROLE_GUARDIAN);
        }
        _lower(Level.HALT);
    }

    function raise(Level to) external onlyOwner whenIdle {
        if (to >= level) revert NotRaised(level, to);
        level = to;
        emit LevelChanged(to, msg.sender);
    }

    // ---------------------------------------------------------------- roles

    function setRole(address account, uint8 role, bool granted) external onlyOwner whenIdle {
        if (role != ROLE_OPERATOR && role != ROLE_PAUSER && role != ROLE_GUARDIAN) revert UnknownRole(role);
        _setRole(account, role, granted);
    }

    /// @notice Everyone who has a role, so that anyone can compare them with who should.
    /// @return packed roles << 160 | account, in no order
    function roleHolders() external view returns (uint256[] memory packed) {
        packed = _holders.items;
        for (uint256 i = 0; i < packed.length; ++i) {
            packed[i] |= uint256(rolesOf[address(uint160(packed[i]))]) << 160;
        }
    }

    // --------------------------------------------------------------- health

    function setHealthFloor(uint64 floor) external onlyOwner whenIdle {
        _setHealthFloor(floor);
    }

    // --------------------------------------------------------------- rescue

    /// @param salt tells apart rescues of the same calls
    function proposeRescue(RescueCall[] calldata calls, bytes32 salt)
        external
        onlyOwner
        returns (bytes32 id)
    {
        id = rescueId(calls, salt);
        if (rescueReadyAt[id] != 0) revert RescueAlreadyProposed(id);
        uint256 readyAt = block.timestamp + RESCUE_DELAY_S;
        rescueReadyAt[id] = readyAt;
        emit RescueProposed(id, readyAt, calls, salt);
    }

    function vetoRescue(bytes32 id) external onlyRole(ROLE_GUARDIAN) {
        if (rescueReadyAt[id] == 0) revert RescueNotProposed(id);
        delete rescueReadyAt[id];
        emit RescueVetoed(id, msg.sender);
    }

    /// @notice For what was sent here by mistake. Works at every level, HALT included.
    function rescue(RescueCall[] calldata calls, bytes32 salt) external onlyOwner whenIdle {
        bytes32 id = rescueId(calls, salt);
        uint256 readyAt = rescueReadyAt[id];
        if (readyAt == 0) revert RescueNotProposed(id);
        if (block.timestamp < readyAt) revert RescueTooEarly(readyAt);
        if (block.timestamp > readyAt + RESCUE_WINDOW_S) revert RescueLapsed(readyAt + RESCUE_WINDOW_S);
        delete rescueReadyAt[id];
        for (uint256 i = 0; i < calls.length; ++i) {
            (bool ok, bytes memory answer) = calls[i].target.call{value: calls[i].value}(calls[i].data);
            if (!ok) revert RescueCallFailed(i, answer);
        }
        emit Rescued(id);
    }

    function rescueId(RescueCall[] calldata calls, bytes32 salt) public pure returns (bytes32) {
        return keccak256(abi.encode(calls, salt));
    }

    // -------------------------------------------------------------- internal

    function _mustHave(uint8 role) internal view {
        if (rolesOf[msg.sender] & role == 0) revert MissingRole(msg.sender, role);
    }

    function _setRole(address account, uint8 role, bool granted) internal {
        uint8 roles = granted ? rolesOf[account] | role : rolesOf[account] & ~role;
        rolesOf[account] = roles;
        if (roles == 0) _holders.remove(uint160(account));
        else _holders.add(uint160(account));
        emit RoleChanged(account, role, granted);
    }

    function _setHealthFloor(uint64 floor) internal {
        healthFloor = floor;
        emit HealthFloorChanged(floor);
    }

    /// @dev A stop is idempotent, and a weaker stop never undoes a stronger one.
    function _lower(Level to) private {
        if (level >= to) return;
        level = to;
        emit LevelChanged(to, msg.sender);
    }
}
