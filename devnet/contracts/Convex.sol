// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// @notice CVX: minted beside every claim of CRV, less by one thousandth for every 100,000 that exist.
contract ConvexToken is ERC20, Ownable {
    uint256 public constant maxSupply = 100_000_000e18;
    uint256 public constant totalCliffs = 1000;
    uint256 public constant reductionPerCliff = maxSupply / totalCliffs;

    address public operator;

    constructor(uint256 premined, address owner_) ERC20("Convex Token", "CVX") Ownable(owner_) {
        _mint(owner_, premined);
    }

    function setOperator(address operator_) external onlyOwner {
        operator = operator_;
    }

    /// @param amount of CRV claimed
    function mint(address to, uint256 amount) external {
        if (msg.sender != operator) return;
        uint256 supply = totalSupply();
        uint256 cliff = supply / reductionPerCliff;
        if (cliff >= totalCliffs) return;
        amount = amount * (totalCliffs - cliff) / totalCliffs;
        uint256 left = maxSupply - supply;
        _mint(to, amount > left ? left : amount);
    }
}

/// @notice What stands for an LP token that was given to the booster; staked at once in the pool's rewards.
contract ConvexDepositToken is ERC20, Ownable {
    constructor() ERC20("Convex Deposit", "cvxLP") Ownable(msg.sender) {}

    function mint(address to, uint256 amount) external onlyOwner {
        _mint(to, amount);
    }

    function burn(address from, uint256 amount) external onlyOwner {
        _burn(from, amount);
    }
}

/// @notice Takes LP tokens and stakes them for their owner; asks CVX for what belongs to a claim.
/// @dev Left out: the voter and its gauges (LP tokens stay here), fees on harvests, stashes. The owner plays the
/// harvest by `notify`.
contract ConvexBooster is Ownable {
    using SafeERC20 for IERC20;

    struct PoolInfo {
        address lptoken;
        address token;
        address gauge;
        address crvRewards;
        address stash;
        bool shutdown;
    }

    IERC20 public immutable crv;
    ConvexToken public immutable minter;
    bool public isShutdown;
    PoolInfo[] public poolInfo;

    event Deposited(address indexed user, uint256 indexed poolid, uint256 amount);
    event Withdrawn(address indexed user, uint256 indexed poolid, uint256 amount);

    constructor(IERC20 crv_, ConvexToken minter_, address owner_) Ownable(owner_) {
        (crv, minter) = (crv_, minter_);
    }

    function poolLength() external view returns (uint256) {
        return poolInfo.length;
    }

    function addPool(address lpToken) external onlyOwner {
        ConvexDepositToken token = new ConvexDepositToken();
        BaseRewardPool rewards = new BaseRewardPool(poolInfo.length, token, crv, this);
        poolInfo.push(PoolInfo(lpToken, address(token), address(0), address(rewards), address(0), false));
    }

    function shutdownPool(uint256 pid) external onlyOwner {
        poolInfo[pid].shutdown = true;
    }

    function shutdownSystem() external onlyOwner {
        isShutdown = true;
    }

    /// @dev Pays `amount` of CRV into the pool, to be earned over seven days.
    function notify(uint256 pid, uint256 amount) external onlyOwner {
        crv.safeTransferFrom(msg.sender, poolInfo[pid].crvRewards, amount);
        BaseRewardPool(poolInfo[pid].crvRewards).queueNewRewards(amount);
    }

    function deposit(uint256 pid, uint256 amount, bool stake) external returns (bool) {
        require(!isShutdown, "shutdown");
        PoolInfo storage pool = poolInfo[pid];
        require(!pool.shutdown, "pool is closed");
        IERC20(pool.lptoken).safeTransferFrom(msg.sender, address(this), amount);
        if (stake) {
            ConvexDepositToken(pool.token).mint(pool.crvRewards, amount);
            BaseRewardPool(pool.crvRewards).creditFor(msg.sender, amount);
        } else {
            ConvexDepositToken(pool.token).mint(msg.sender, amount);
        }
        emit Deposited(msg.sender, pid, amount);
        return true;
    }

    function withdraw(uint256 pid, uint256 amount) external returns (bool) {
        _withdraw(pid, amount, msg.sender, msg.sender);
        return true;
    }

    function withdrawTo(uint256 pid, uint256 amount, address to) external returns (bool) {
        require(msg.sender == poolInfo[pid].crvRewards, "!auth");
        _withdraw(pid, amount, msg.sender, to);
        return true;
    }

    function rewardClaimed(uint256 pid, address account, uint256 amount) external returns (bool) {
        require(msg.sender == poolInfo[pid].crvRewards, "!auth");
        minter.mint(account, amount);
        return true;
    }

    function _withdraw(uint256 pid, uint256 amount, address from, address to) private {
        PoolInfo storage pool = poolInfo[pid];
        ConvexDepositToken(pool.token).burn(from, amount);
        IERC20(pool.lptoken).safeTransfer(to, amount);
        emit Withdrawn(to, pid, amount);
    }
}

/// @notice Shares of a stream of CRV by stake, as in Synthetix' staking rewards.
contract BaseRewardPool {
    using SafeERC20 for IERC20;

    uint256 public constant duration = 7 days;

    uint256 public immutable pid;
    ConvexDepositToken public immutable stakingToken;
    IERC20 public immutable rewardToken;
    ConvexBooster public immutable operator;

    uint256 public periodFinish;
    /// @notice [CRV wei per second]
    uint256 public rewardRate;
    uint256 public lastUpdateTime;
    /// @notice [CRV wei per whole staked token]
    uint256 public rewardPerTokenStored;
    uint256 public totalSupply;
    mapping(address account => uint256) public balanceOf;
    mapping(address account => uint256) public userRewardPerTokenPaid;
    mapping(address account => uint256) public rewards;

    event RewardAdded(uint256 reward);
    event Staked(address indexed user, uint256 amount);
    event Withdrawn(address indexed user, uint256 amount);
    event RewardPaid(address indexed user, uint256 reward);

    modifier updateReward(address account) {
        rewardPerTokenStored = rewardPerToken();
        lastUpdateTime = lastTimeRewardApplicable();
        if (account != address(0)) {
            rewards[account] = earned(account);
            userRewardPerTokenPaid[account] = rewardPerTokenStored;
        }
        _;
    }

    constructor(uint256 pid_, ConvexDepositToken stakingToken_, IERC20 rewardToken_, ConvexBooster operator_) {
        (pid, stakingToken, rewardToken, operator) = (pid_, stakingToken_, rewardToken_, operator_);
    }

    // ------------------------------------------------------------------ views

    function extraRewardsLength() external pure returns (uint256) {
        return 0;
    }

    function lastTimeRewardApplicable() public view returns (uint256) {
        return block.timestamp < periodFinish ? block.timestamp : periodFinish;
    }

    function rewardPerToken() public view returns (uint256) {
        if (totalSupply == 0) return rewardPerTokenStored;
        return rewardPerTokenStored
            + (lastTimeRewardApplicable() - lastUpdateTime) * rewardRate * 1e18 / totalSupply;
    }

    function earned(address account) public view returns (uint256) {
        return balanceOf[account] * (rewardPerToken() - userRewardPerTokenPaid[account]) / 1e18 + rewards[account];
    }

    // ------------------------------------------------------------------ stakers

    function stake(uint256 amount) external updateReward(msg.sender) returns (bool) {
        require(amount > 0, "RewardPool : Cannot stake 0");
        _credit(msg.sender, amount);
        IERC20(address(stakingToken)).safeTransferFrom(msg.sender, address(this), amount);
        return true;
    }

    /// @dev For the booster, which has minted the staked tokens to this pool.
    function creditFor(address account, uint256 amount) external updateReward(account) {
        require(msg.sender == address(operator), "!authorized");
        require(amount > 0, "RewardPool : Cannot stake 0");
        _credit(account, amount);
    }

    function withdraw(uint256 amount, bool claim) external updateReward(msg.sender) returns (bool) {
        _debit(amount);
        IERC20(address(stakingToken)).safeTransfer(msg.sender, amount);
        if (claim) getReward(msg.sender, true);
        return true;
    }

    function withdrawAndUnwrap(uint256 amount, bool claim) external updateReward(msg.sender) returns (bool) {
        _debit(amount);
        operator.withdrawTo(pid, amount, msg.sender);
        if (claim) getReward(msg.sender, true);
        return true;
    }

    /// @dev Anyone may call it; the reward goes to `account`.
    function getReward(address account, bool) public updateReward(account) returns (bool) {
        uint256 reward = rewards[account];
        if (reward > 0) {
            rewards[account] = 0;
            rewardToken.safeTransfer(account, reward);
            operator.rewardClaimed(pid, account, reward);
            emit RewardPaid(account, reward);
        }
        return true;
    }

    function getReward() external returns (bool) {
        return getReward(msg.sender, true);
    }

    // ------------------------------------------------------------------ the booster

    function queueNewRewards(uint256 amount) external updateReward(address(0)) {
        require(msg.sender == address(operator), "!authorized");
        if (block.timestamp < periodFinish) amount += (periodFinish - block.timestamp) * rewardRate;
        rewardRate = amount / duration;
        lastUpdateTime = block.timestamp;
        periodFinish = block.timestamp + duration;
        emit RewardAdded(amount);
    }

    function _credit(address account, uint256 amount) private {
        totalSupply += amount;
        balanceOf[account] += amount;
        emit Staked(account, amount);
    }

    function _debit(uint256 amount) private {
        require(amount > 0, "RewardPool : Cannot withdraw 0");
        totalSupply -= amount;
        balanceOf[msg.sender] -= amount;
        emit Withdrawn(msg.sender, amount);
    }
}
