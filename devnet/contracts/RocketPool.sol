// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice The balances that Rocket Pool's oracle nodes report: they alone make the rate of rETH.
contract RocketNetworkBalances is Ownable {
    uint256 public getTotalETHBalance;
    uint256 public getTotalRETHSupply;

    event BalancesUpdated(uint256 totalEth, uint256 rethSupply);

    constructor(address owner_) Ownable(owner_) {}

    /// @dev Stands for the votes of the oracle nodes. [wei]
    function updateBalances(uint256 totalEth, uint256 rethSupply) external onlyOwner {
        getTotalETHBalance = totalEth;
        getTotalRETHSupply = rethSupply;
        emit BalancesUpdated(totalEth, rethSupply);
    }
}

/// @notice What Rocket Pool's DAO settles about deposits, by the names of the true settings contract.
contract RocketDepositSettings is Ownable {
    bool public getDepositEnabled = true;
    /// @notice [wei]
    uint256 public getMinimumDeposit = 0.01 ether;
    /// @notice [wei]
    uint256 public getMaximumDepositPoolSize = 18_000 ether;
    /// @notice Of what is deposited. [wad]
    uint256 public getDepositFee = 0.0005 ether;

    constructor(address owner_) Ownable(owner_) {}

    function set(bool enabled, uint256 minimum, uint256 poolSize, uint256 feeWad) external onlyOwner {
        getDepositEnabled = enabled;
        getMinimumDeposit = minimum;
        getMaximumDepositPoolSize = poolSize;
        getDepositFee = feeWad;
    }
}

/// @notice rETH: a share whose rate follows the reported balances, burnt for ether while there is some.
contract RocketTokenREth is ERC20 {
    RocketNetworkBalances public immutable balances;
    RocketDepositPool public immutable depositPool;

    event TokensMinted(address indexed to, uint256 amount, uint256 ethAmount, uint256 time);
    event TokensBurned(address indexed from, uint256 amount, uint256 ethAmount, uint256 time);
    event EtherDeposited(address indexed from, uint256 amount, uint256 time);

    constructor(RocketNetworkBalances balances_) ERC20("Rocket Pool ETH", "rETH") {
        balances = balances_;
        depositPool = RocketDepositPool(payable(msg.sender));
    }

    /// @dev Ether from ended validators arrives like this.
    receive() external payable {
        emit EtherDeposited(msg.sender, msg.value, block.timestamp);
    }

    /// @return What `rethAmount` is worth, rounded down. [wei]
    function getEthValue(uint256 rethAmount) public view returns (uint256) {
        uint256 supply = balances.getTotalRETHSupply();
        if (supply == 0) return rethAmount;
        return rethAmount * balances.getTotalETHBalance() / supply;
    }

    /// @return What `ethAmount` buys, rounded down. [rETH wei]
    function getRethValue(uint256 ethAmount) public view returns (uint256) {
        uint256 supply = balances.getTotalRETHSupply();
        if (supply == 0) return ethAmount;
        uint256 total = balances.getTotalETHBalance();
        require(total > 0, "Cannot calculate rETH token amount while total network balance is zero");
        return ethAmount * supply / total;
    }

    function getExchangeRate() external view returns (uint256) {
        return getEthValue(1 ether);
    }

    /// @notice Ether that burning can pay: here, and what the deposit pool has in excess. [wei]
    function getTotalCollateral() public view returns (uint256) {
        return depositPool.getExcessBalance() + address(this).balance;
    }

    function mint(uint256 ethAmount, address to) external {
        require(msg.sender == address(depositPool), "Invalid or outdated contract");
        uint256 amount = getRethValue(ethAmount);
        require(amount > 0, "Invalid token mint amount");
        _mint(to, amount);
        emit TokensMinted(to, amount, ethAmount, block.timestamp);
    }

    function burn(uint256 rethAmount) external {
        require(rethAmount > 0, "Invalid token burn amount");
        require(balanceOf(msg.sender) >= rethAmount, "Insufficient rETH balance");
        uint256 ethAmount = getEthValue(rethAmount);
        require(getTotalCollateral() >= ethAmount, "Insufficient ETH balance for exchange");
        _burn(msg.sender, rethAmount);
        if (ethAmount > address(this).balance) {
            depositPool.withdrawExcessBalance(ethAmount - address(this).balance);
        }
        (bool paid,) = msg.sender.call{value: ethAmount}("");
        require(paid, "Failed to send ETH");
        emit TokensBurned(msg.sender, rethAmount, ethAmount, block.timestamp);
    }
}

/// @notice Ether in, rETH out: less a fee, within a cap. Ether waits here until validators take it.
/// @dev Stands for a pool whose minipool queue takes `queueCapacity`; assigning to it is left out.
contract RocketDepositPool is Ownable {
    RocketDepositSettings public immutable settings;
    RocketTokenREth public immutable reth;
    /// @notice What waiting validators will take; the rest of the pool is in excess. [wei]
    uint256 public queueCapacity;

    event DepositReceived(address indexed from, uint256 amount, uint256 time);

    constructor(RocketDepositSettings settings_, RocketNetworkBalances balances_, address owner_) Ownable(owner_) {
        settings = settings_;
        reth = new RocketTokenREth(balances_);
    }

    function getBalance() public view returns (uint256) {
        return address(this).balance;
    }

    function getExcessBalance() public view returns (uint256) {
        uint256 balance = getBalance();
        return queueCapacity >= balance ? 0 : balance - queueCapacity;
    }

    /// @notice The largest deposit that is taken now. [wei]
    function getMaximumDepositAmount() external view returns (uint256) {
        if (!settings.getDepositEnabled()) return 0;
        uint256 size = settings.getMaximumDepositPoolSize();
        return size > getBalance() ? size - getBalance() : 0;
    }

    function deposit() external payable {
        require(settings.getDepositEnabled(), "Deposits into Rocket Pool are currently disabled");
        require(
            msg.value >= settings.getMinimumDeposit(), "The deposited amount is less than the minimum deposit size"
        );
        require(
            getBalance() <= settings.getMaximumDepositPoolSize(),
            "The deposit pool size after depositing exceeds the maximum size"
        );
        uint256 fee = msg.value * settings.getDepositFee() / 1 ether;
        reth.mint(msg.value - fee, msg.sender);
        emit DepositReceived(msg.sender, msg.value, block.timestamp);
    }

    function withdrawExcessBalance(uint256 amount) external {
        require(msg.sender == address(reth), "Invalid or outdated contract");
        require(amount <= getExcessBalance(), "Insufficient excess balance for withdrawal");
        (bool paid,) = address(reth).call{value: amount}("");
        require(paid, "Failed to send ETH");
    }

    function setQueueCapacity(uint256 capacity) external onlyOwner {
        queueCapacity = capacity;
    }
}
