// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

/// @notice Tokens that do not keep to ERC-20, as they exist in the wild: adapters are tried against each of them.
abstract contract OddLedger {
    string public name;
    string public symbol;
    uint8 public constant decimals = 18;
    uint256 public totalSupply;
    mapping(address holder => uint256 amount) public balanceOf;
    mapping(address holder => mapping(address spender => uint256 amount)) public allowance;

    event Transfer(address indexed from, address indexed to, uint256 amount);
    event Approval(address indexed holder, address indexed spender, uint256 amount);

    constructor(string memory name_, string memory symbol_, address owner_, uint256 supply) {
        name = name_;
        symbol = symbol_;
        totalSupply = supply;
        balanceOf[owner_] = supply;
        emit Transfer(address(0), owner_, supply);
    }

    function _move(address from, address to, uint256 amount) internal {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
        emit Transfer(from, to, amount);
    }

    function _spend(address from, uint256 amount) internal {
        allowance[from][msg.sender] -= amount;
    }

    function _allow(address spender, uint256 amount) internal {
        allowance[msg.sender][spender] = amount;
        emit Approval(msg.sender, spender, amount);
    }
}

/// @notice Burns a part of whatever is transferred: less arrives than was sent.
contract FeeOnTransferToken is OddLedger {
    uint256 public constant FEE_BPS = 100;

    constructor(address owner_, uint256 supply) OddLedger("Fee On Transfer", "FEE", owner_, supply) {}

    function transfer(address to, uint256 amount) external returns (bool) {
        _moveLess(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        _spend(from, amount);
        _moveLess(from, to, amount);
        return true;
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        _allow(spender, amount);
        return true;
    }

    function _moveLess(address from, address to, uint256 amount) private {
        uint256 fee = amount * FEE_BPS / 10_000;
        _move(from, to, amount - fee);
        balanceOf[from] -= fee;
        totalSupply -= fee;
        emit Transfer(from, address(0), fee);
    }
}

/// @notice Returns nothing, and takes a new allowance only where there is none, as USDT does.
contract SilentToken is OddLedger {
    error AllowanceInForce(uint256 amount);

    constructor(address owner_, uint256 supply) OddLedger("Silent", "SILENT", owner_, supply) {}

    function transfer(address to, uint256 amount) external {
        _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external {
        _spend(from, amount);
        _move(from, to, amount);
    }

    function approve(address spender, uint256 amount) external {
        uint256 inForce = allowance[msg.sender][spender];
        if (amount != 0 && inForce != 0) revert AllowanceInForce(inForce);
        _allow(spender, amount);
    }
}

/// @notice Answers `false` where others revert, and moves nothing: always so for those who are on its list.
contract FalseReturningToken is OddLedger {
    address public immutable owner;
    mapping(address holder => bool) public refused;

    error NotOwner();

    constructor(address owner_, uint256 supply) OddLedger("False", "FALSE", owner_, supply) {
        owner = owner_;
    }

    function refuse(address holder) external {
        if (msg.sender != owner) revert NotOwner();
        refused[holder] = true;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        if (refused[msg.sender] || balanceOf[msg.sender] < amount) return false;
        _move(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        if (refused[from] || balanceOf[from] < amount || allowance[from][msg.sender] < amount) return false;
        _spend(from, amount);
        _move(from, to, amount);
        return true;
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        _allow(spender, amount);
        return true;
    }
}
