// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

interface IPriceFeed {
    function decimals() external view returns (uint8);
    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80);
}

interface ITokenDecimals {
    function decimals() external view returns (uint8);
}

/// @notice A debt that grows with time, as a read-only token: what is owed to the desk that made it.
/// @dev Balances are shares times the index, rounded up (against the borrower). It cannot be moved or approved.
contract VariableDebtToken {
    uint256 internal constant RAY = 1e27;

    string public name;
    string public symbol;
    uint8 public immutable decimals;
    address public immutable desk;
    /// @notice Simple interest. [ray per second]
    uint256 public immutable ratePerSecondRay;
    uint256 public immutable startedAt;

    uint256 public totalShares;
    mapping(address borrower => uint256) public sharesOf;

    event Transfer(address indexed from, address indexed to, uint256 value);

    error OnlyDesk();
    error NotTransferable();

    modifier onlyDesk() {
        if (msg.sender != desk) revert OnlyDesk();
        _;
    }

    constructor(string memory name_, string memory symbol_, uint8 decimals_, uint256 ratePerSecondRay_) {
        name = name_;
        symbol = symbol_;
        decimals = decimals_;
        ratePerSecondRay = ratePerSecondRay_;
        desk = msg.sender;
        startedAt = block.timestamp;
    }

    /// @return What one share owes. [ray]
    function index() public view returns (uint256) {
        return RAY + ratePerSecondRay * (block.timestamp - startedAt);
    }

    function balanceOf(address borrower) public view returns (uint256) {
        return Math.mulDiv(sharesOf[borrower], index(), RAY, Math.Rounding.Ceil);
    }

    function totalSupply() external view returns (uint256) {
        return Math.mulDiv(totalShares, index(), RAY, Math.Rounding.Ceil);
    }

    function allowance(address, address) external pure returns (uint256) {
        return 0;
    }

    function transfer(address, uint256) external pure returns (bool) {
        revert NotTransferable();
    }

    function transferFrom(address, address, uint256) external pure returns (bool) {
        revert NotTransferable();
    }

    function approve(address, uint256) external pure returns (bool) {
        revert NotTransferable();
    }

    function mint(address borrower, uint256 amount) external onlyDesk {
        uint256 shares = Math.mulDiv(amount, RAY, index(), Math.Rounding.Ceil);
        sharesOf[borrower] += shares;
        totalShares += shares;
        emit Transfer(address(0), borrower, amount);
    }

    /// @dev Paying everything clears all shares, so that no dust stays owed.
    function burn(address borrower, uint256 amount) external onlyDesk {
        uint256 held = sharesOf[borrower];
        uint256 shares = amount == balanceOf(borrower) ? held : Math.mulDiv(amount, RAY, index());
        sharesOf[borrower] = held - shares;
        totalShares -= shares;
        emit Transfer(borrower, address(0), amount);
    }
}

/// @notice A minimal lender: one collateral, one borrowable token, one feed, no liquidation.
/// @dev For tests of plans that must lower debt. It values collateral by the feed, whatever the feed's age.
contract DebtDesk {
    using SafeERC20 for IERC20;

    uint256 internal constant WAD = 1e18;
    uint256 internal constant BPS = 10_000;

    IERC20 public immutable collateral;
    IERC20 public immutable borrowed;
    VariableDebtToken public immutable debtToken;
    /// @notice Price of one whole collateral token in whole borrowed tokens.
    IPriceFeed public immutable feed;
    uint256 public immutable liquidationThresholdBps;

    mapping(address account => uint256) public collateralOf;

    event Deposited(address indexed account, uint256 amount);
    event Withdrawn(address indexed account, uint256 amount);
    event Borrowed(address indexed account, uint256 amount);
    event Repaid(address indexed account, address indexed payer, uint256 amount);

    error Unhealthy(uint256 healthFactorWad);

    constructor(
        IERC20 collateral_,
        IERC20 borrowed_,
        IPriceFeed feed_,
        uint256 liquidationThresholdBps_,
        uint256 ratePerSecondRay_
    ) {
        collateral = collateral_;
        borrowed = borrowed_;
        feed = feed_;
        liquidationThresholdBps = liquidationThresholdBps_;
        debtToken = new VariableDebtToken(
            "Variable debt", "vDEBT", ITokenDecimals(address(borrowed_)).decimals(), ratePerSecondRay_
        );
    }

    function deposit(uint256 amount) external {
        collateralOf[msg.sender] += amount;
        collateral.safeTransferFrom(msg.sender, address(this), amount);
        emit Deposited(msg.sender, amount);
    }

    function withdraw(uint256 amount) external {
        collateralOf[msg.sender] -= amount;
        _requireHealthy(msg.sender);
        collateral.safeTransfer(msg.sender, amount);
        emit Withdrawn(msg.sender, amount);
    }

    function borrow(uint256 amount) external {
        debtToken.mint(msg.sender, amount);
        _requireHealthy(msg.sender);
        borrowed.safeTransfer(msg.sender, amount);
        emit Borrowed(msg.sender, amount);
    }

    /// @notice Pay back at most what `account` owes. @return paid [smallest unit of the borrowed token]
    function repay(uint256 amount, address account) external returns (uint256 paid) {
        paid = Math.min(amount, debtToken.balanceOf(account));
        debtToken.burn(account, paid);
        borrowed.safeTransferFrom(msg.sender, address(this), paid);
        emit Repaid(account, msg.sender, paid);
    }

    /// @return Weighted collateral over debt; the largest number without debt. [wad]
    function healthFactor(address account) public view returns (uint256) {
        uint256 debt = debtToken.balanceOf(account);
        if (debt == 0) return type(uint256).max;
        (, int256 answer,,,) = feed.latestRoundData();
        uint256 value = Math.mulDiv(collateralOf[account], uint256(answer), 10 ** feed.decimals());
        uint256 valueInDebtUnits = Math.mulDiv(
            value,
            10 ** ITokenDecimals(address(borrowed)).decimals(),
            10 ** ITokenDecimals(address(collateral)).decimals()
        );
        return Math.mulDiv(valueInDebtUnits * liquidationThresholdBps / BPS, WAD, debt);
    }

    function _requireHealthy(address account) private view {
        uint256 factor = healthFactor(account);
        if (factor < WAD) revert Unhealthy(factor);
    }
}
