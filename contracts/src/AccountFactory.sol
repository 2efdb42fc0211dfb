// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {PositionAccount} from "./PositionAccount.sol";
import {TwoStepOwner} from "./TwoStepOwner.sol";

interface IBinding {
    function bind(address executor, address policy) external;
}

/// @title Makes accounts from templates that its owner approved: one operator key, one account.
///
/// @notice The owner approves a template (code, policy, owner, beneficiary, stops) and allots operator keys to it.
///         Then anyone may make the account of such a key, once: everything about it, its address too, is fixed by
///         the template and the key. The account is under the template's policy, in the registry and in the risk
///         book, before anything can reach it; both demand that this policy is sealed.
///
/// @dev The creation code comes with the call and must have the approved hash: the factory stays small, and a new
///      version of the code needs no new factory. The factory has no power over the accounts that it made. It
///      must be a binder of both books.
contract AccountFactory is TwoStepOwner {
    // ---------------------------------------------------------------- types

    /// @param codeHash of PositionAccount's creation code, without its arguments
    /// @param policy of registry and risk book, sealed in both
    /// @param owner of the account: the Safe
    /// @param beneficiary who is paid what the account does not keep
    /// @param guardian, pauser zero: none
    struct Template {
        bytes32 codeHash;
        address policy;
        address owner;
        address beneficiary;
        address guardian;
        address pauser;
    }

    // --------------------------------------------------------------- errors

    error AlreadyApproved(bytes32 id);
    error NotApproved(bytes32 id);
    error OperatorTaken(address operator);
    error OperatorNotAllotted(address operator);
    error AlreadyMade(address account);
    error CodeDiffers(bytes32 expected, bytes32 given);
    error NotMade();

    // --------------------------------------------------------------- events

    event TemplateApproved(bytes32 indexed id, Template template);
    event TemplateRevoked(bytes32 indexed id);
    event OperatorAllotted(address indexed operator, bytes32 indexed template);
    event OperatorWithdrawn(address indexed operator);
    event AccountMade(address indexed account, address indexed operator, bytes32 indexed template);

    // -------------------------------------------------------------- storage

    PositionAccount.Surroundings private _around;
    mapping(bytes32 id => Template) private _templates;
    mapping(address operator => bytes32 template) public allotted;
    mapping(address operator => address account) public accountOf;

    constructor(address owner_, PositionAccount.Surroundings memory around) TwoStepOwner(owner_) {
        _around = around;
    }

    // ------------------------------------------------- what the owner decides

    /// @return id its content's hash: what was approved cannot change under its name
    function approveTemplate(Template calldata template) external onlyOwner returns (bytes32 id) {
        if (template.policy == address(0)) revert ZeroAddress();
        id = keccak256(abi.encode(template));
        if (_templates[id].policy != address(0)) revert AlreadyApproved(id);
        _templates[id] = template;
        emit TemplateApproved(id, template);
    }

    /// @notice No more accounts of it; those that exist are their owner's affair.
    function revokeTemplate(bytes32 id) external onlyOwner {
        if (_templates[id].policy == address(0)) revert NotApproved(id);
        delete _templates[id];
        emit TemplateRevoked(id);
    }

    /// @notice A key is for one account, ever: what it could lose is one deal.
    function allotOperator(address operator, bytes32 id) external onlyOwner {
        if (operator == address(0)) revert ZeroAddress();
        if (_templates[id].policy == address(0)) revert NotApproved(id);
        if (allotted[operator] != 0) revert OperatorTaken(operator);
        allotted[operator] = id;
        emit OperatorAllotted(operator, id);
    }

    /// @notice Takes back a key whose account was not made yet.
    function withdrawOperator(address operator) external onlyOwner {
        if (allotted[operator] == 0) revert OperatorNotAllotted(operator);
        if (accountOf[operator] != address(0)) revert AlreadyMade(accountOf[operator]);
        allotted[operator] = 0;
        emit OperatorWithdrawn(operator);
    }

    // ------------------------------------------------------ what anyone does

    /// @param creationCode of PositionAccount, without its arguments
    function makeAccount(address operator, bytes calldata creationCode) external returns (address account) {
        if (accountOf[operator] != address(0)) revert AlreadyMade(accountOf[operator]);
        Template memory template = _templateOf(operator);
        bytes memory initCode = _initCode(template, operator, creationCode);
        bytes32 salt = _saltOf(operator);
        assembly ("memory-safe") {
            account := create2(0, add(initCode, 32), mload(initCode), salt)
        }
        if (account == address(0)) revert NotMade();
        accountOf[operator] = account;
        emit AccountMade(account, operator, allotted[operator]);
        IBinding(address(_around.registry)).bind(account, template.policy);
        IBinding(address(_around.riskBook)).bind(account, template.policy);
    }

    // ----------------------------------------------------- what anyone reads

    /// @return where the account of `operator` will be, or is
    function addressOf(address operator, bytes calldata creationCode) external view returns (address) {
        bytes32 codeHash = keccak256(_initCode(_templateOf(operator), operator, creationCode));
        bytes memory place = abi.encodePacked(hex"ff", address(this), _saltOf(operator), codeHash);
        return address(uint160(uint256(keccak256(place))));
    }

    function templates(bytes32 id) external view returns (Template memory) {
        return _templates[id];
    }

    function surroundings() external view returns (PositionAccount.Surroundings memory) {
        return _around;
    }

    // -------------------------------------------------------------- internal

    function _templateOf(address operator) private view returns (Template memory template) {
        bytes32 id = allotted[operator];
        if (id == 0) revert OperatorNotAllotted(operator);
        template = _templates[id];
        if (template.policy == address(0)) revert NotApproved(id);
    }

    function _initCode(Template memory template, address operator, bytes calldata creationCode)
        private
        view
        returns (bytes memory)
    {
        bytes32 given = keccak256(creationCode);
        if (given != template.codeHash) revert CodeDiffers(template.codeHash, given);
        PositionAccount.People memory people = PositionAccount.People(
            template.owner, template.beneficiary, operator, template.guardian, template.pauser
        );
        return bytes.concat(creationCode, abi.encode(_around, people));
    }

    function _saltOf(address operator) private pure returns (bytes32) {
        return bytes32(uint256(uint160(operator)));
    }
}
