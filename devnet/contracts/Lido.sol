// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice stETH: ether in, rebasing shares out. Balances are shares times the pool's ether over all shares.
/// @dev The owner stands for the oracle (`rebase`) and for the DAO (pauses and the staking limit).
contract LidoStEth is Ownable {
    string public constant name = "Liquid staked Ether 2.0";
    string public constant symbol = "stETH";
    uint8 public constant decimals = 18;

    address public queue;
    uint256 public getTotalShares;
    /// @notice Ether of the pool, here or staked. [wei]
    uint256 public getTotalPooledEther;
    mapping(address account => uint256) public sharesOf;
    mapping(address account => mapping(address spender => uint256)) public allowance;

    bool public isStopped;
    bool public isStakingPaused;
    // The staking limit regrows by blocks, as the true one does.
    uint256 internal _limitMax;
    uint256 internal _limitPerBlock;
    uint256 internal _limitLast;
    uint256 internal _limitBlock;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event TransferShares(address indexed from, address indexed to, uint256 sharesValue);
    event Approval(address indexed owner, address indexed spender, uint256 value);
    event Submitted(address indexed sender, uint256 amount, address referral);

    constructor(address owner_) Ownable(owner_) {}

    receive() external payable {
        _submit(address(0));
    }

    // ------------------------------------------------------------------ views

    function totalSupply() external view returns (uint256) {
        return getTotalPooledEther;
    }

    function balanceOf(address account) public view returns (uint256) {
        return getPooledEthByShares(sharesOf[account]);
    }

    /// @dev Rounds down.
    function getSharesByPooledEth(uint256 ethAmount) public view returns (uint256) {
        return ethAmount * getTotalShares / getTotalPooledEther;
    }

    /// @dev Rounds down.
    function getPooledEthByShares(uint256 shares) public view returns (uint256) {
        return shares * getTotalPooledEther / getTotalShares;
    }

    /// @return What may be staked now; the largest number without a limit. [wei]
    function getCurrentStakeLimit() public view returns (uint256) {
        if (isStakingPaused) return 0;
        if (_limitMax == 0) return type(uint256).max;
        uint256 grown = _limitLast + (block.number - _limitBlock) * _limitPerBlock;
        return grown < _limitMax ? grown : _limitMax;
    }

    // ------------------------------------------------------------------ holders

    function submit(address referral) external payable returns (uint256) {
        return _submit(referral);
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        _transferShares(msg.sender, to, getSharesByPooledEth(amount), amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        uint256 allowed = allowance[from][msg.sender];
        if (allowed != type(uint256).max) {
            require(allowed >= amount, "ALLOWANCE_EXCEEDED");
            allowance[from][msg.sender] = allowed - amount;
        }
        _transferShares(from, to, getSharesByPooledEth(amount), amount);
        return true;
    }

    function transferShares(address to, uint256 shares) external returns (uint256 amount) {
        amount = getPooledEthByShares(shares);
        _transferShares(msg.sender, to, shares, amount);
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        emit Approval(msg.sender, spender, amount);
        return true;
    }

    // ------------------------------------------------------------------ the protocol

    /// @notice The first stake: its shares are worth one wei each and belong to nobody.
    function start() external payable onlyOwner {
        require(getTotalShares == 0, "STARTED");
        _mintShares(address(0xdead), msg.value);
        getTotalPooledEther = msg.value;
    }

    /// @notice The oracle's report: the pool's ether became this much; no shares are minted for it.
    function rebase(uint256 totalPooledEther) external payable onlyOwner {
        getTotalPooledEther = totalPooledEther;
    }

    function setQueue(address queue_) external onlyOwner {
        queue = queue_;
    }

    function setPauses(bool stopped, bool stakingPaused) external onlyOwner {
        isStopped = stopped;
        isStakingPaused = stakingPaused;
    }

    function setStakingLimit(uint256 maximum, uint256 perBlock) external onlyOwner {
        (_limitMax, _limitPerBlock, _limitLast, _limitBlock) = (maximum, perBlock, maximum, block.number);
    }

    /// @dev The queue burns what it finalised and takes the ether that stands for it.
    function settleWithdrawal(uint256 ethAmount, uint256 shares) external {
        require(msg.sender == queue, "APP_AUTH_FAILED");
        sharesOf[msg.sender] -= shares;
        getTotalShares -= shares;
        getTotalPooledEther -= ethAmount;
        (bool paid,) = msg.sender.call{value: ethAmount}("");
        require(paid, "SEND_FAILED");
    }

    function _submit(address referral) private returns (uint256 shares) {
        require(!isStopped, "CONTRACT_IS_STOPPED");
        require(msg.value != 0, "ZERO_DEPOSIT");
        require(!isStakingPaused, "STAKING_PAUSED");
        uint256 limit = getCurrentStakeLimit();
        require(msg.value <= limit, "STAKE_LIMIT");
        if (_limitMax != 0) (_limitLast, _limitBlock) = (limit - msg.value, block.number);
        shares = getSharesByPooledEth(msg.value);
        _mintShares(msg.sender, shares);
        getTotalPooledEther += msg.value;
        emit Submitted(msg.sender, msg.value, referral);
        emit Transfer(address(0), msg.sender, getPooledEthByShares(shares));
    }

    function _mintShares(address to, uint256 shares) private {
        getTotalShares += shares;
        sharesOf[to] += shares;
        emit TransferShares(address(0), to, shares);
    }

    function _transferShares(address from, address to, uint256 shares, uint256 amount) private {
        require(to != address(0) && to != address(this), "TRANSFER_TO_FORBIDDEN");
        require(!isStopped, "CONTRACT_IS_STOPPED");
        require(sharesOf[from] >= shares, "BALANCE_EXCEEDED");
        sharesOf[from] -= shares;
        sharesOf[to] += shares;
        emit Transfer(from, to, amount);
        emit TransferShares(from, to, shares);
    }
}

/// @notice wstETH: one token is one share of stETH, whatever that is worth.
contract LidoWstEth is ERC20 {
    LidoStEth public immutable stETH;

    constructor(LidoStEth stETH_) ERC20("Wrapped liquid staked Ether 2.0", "wstETH") {
        stETH = stETH_;
    }

    function wrap(uint256 stETHAmount) external returns (uint256 amount) {
        require(stETHAmount > 0, "wstETH: can't wrap zero stETH");
        amount = stETH.getSharesByPooledEth(stETHAmount);
        _mint(msg.sender, amount);
        stETH.transferFrom(msg.sender, address(this), stETHAmount);
    }

    function unwrap(uint256 amount) external returns (uint256 stETHAmount) {
        require(amount > 0, "wstETH: zero amount unwrap not allowed");
        stETHAmount = stETH.getPooledEthByShares(amount);
        _burn(msg.sender, amount);
        stETH.transfer(msg.sender, stETHAmount);
    }
}

/// @notice The withdrawal queue: stETH in now, ether out once the request is finalised, at most 1 to 1.
/// @dev Requests are owned by an account instead of an ERC-721 token. What a request is paid is fixed when it is
/// finalised: the lower of what was asked for and its shares at the rate of that moment, as in the true queue.
contract LidoWithdrawalQueue is Ownable {
    struct WithdrawalRequestStatus {
        uint256 amountOfStETH;
        uint256 amountOfShares;
        address owner;
        uint256 timestamp;
        bool isFinalized;
        bool isClaimed;
    }

    uint256 public constant MIN_STETH_WITHDRAWAL_AMOUNT = 100;
    uint256 public constant MAX_STETH_WITHDRAWAL_AMOUNT = 1000 ether;

    LidoStEth public immutable stETH;
    LidoWstEth public immutable wstETH;

    bool public isPaused;
    uint256 public getLastRequestId;
    uint256 public getLastFinalizedRequestId;
    mapping(uint256 id => WithdrawalRequestStatus) internal _requests;
    mapping(uint256 id => uint256) internal _payable; // [wei]
    /// @dev First request of each finalisation; place 0 is unused, as in the true queue.
    uint256[] internal _checkpoints;

    event WithdrawalRequested(
        uint256 indexed requestId,
        address indexed requestor,
        address indexed owner,
        uint256 amountOfStETH,
        uint256 amountOfShares
    );
    event WithdrawalsFinalized(uint256 indexed from, uint256 indexed to, uint256 amountOfETHLocked);
    event WithdrawalClaimed(
        uint256 indexed requestId, address indexed owner, address indexed receiver, uint256 amountOfETH
    );

    error ResumedExpected();
    error RequestAmountTooSmall(uint256 amount);
    error RequestAmountTooLarge(uint256 amount);
    error RequestIdsNotSorted();
    error InvalidRequestId(uint256 id);
    error InvalidHint(uint256 hint);
    error RequestNotFoundOrNotFinalized(uint256 id);
    error RequestAlreadyClaimed(uint256 id);
    error NotOwner(address sender, address owner);
    error CantSendValueRecipientMayHaveReverted();

    constructor(LidoWstEth wstETH_, address owner_) Ownable(owner_) {
        wstETH = wstETH_;
        stETH = wstETH_.stETH();
        _checkpoints.push();
    }

    receive() external payable {}

    // ------------------------------------------------------------------ views

    function getWithdrawalStatus(uint256[] calldata ids)
        external
        view
        returns (WithdrawalRequestStatus[] memory statuses)
    {
        statuses = new WithdrawalRequestStatus[](ids.length);
        for (uint256 i; i < ids.length; ++i) {
            statuses[i] = _requests[ids[i]];
        }
    }

    /// @notice Unclaimed requests of an account.
    function getWithdrawalRequests(address owner_) external view returns (uint256[] memory ids) {
        uint256 count;
        ids = new uint256[](getLastRequestId);
        for (uint256 id = 1; id <= getLastRequestId; ++id) {
            if (_requests[id].owner == owner_ && !_requests[id].isClaimed) ids[count++] = id;
        }
        assembly ("memory-safe") {
            mstore(ids, count)
        }
    }

    function getLastCheckpointIndex() public view returns (uint256) {
        return _checkpoints.length - 1;
    }

    /// @notice The finalisation that each request was part of, 0 for one that still waits.
    /// @param ids ascending
    function findCheckpointHints(uint256[] calldata ids, uint256 first, uint256 last)
        external
        view
        returns (uint256[] memory hints)
    {
        hints = new uint256[](ids.length);
        for (uint256 i; i < ids.length; ++i) {
            if (i > 0 && ids[i] < ids[i - 1]) revert RequestIdsNotSorted();
            if (ids[i] > getLastFinalizedRequestId) continue;
            for (uint256 place = last; place >= first && place > 0; --place) {
                if (_checkpoints[place] > ids[i]) continue;
                hints[i] = place;
                break;
            }
        }
    }

    function getClaimableEther(uint256[] calldata ids, uint256[] calldata hints)
        external
        view
        returns (uint256[] memory amounts)
    {
        amounts = new uint256[](ids.length);
        for (uint256 i; i < ids.length; ++i) {
            uint256 id = ids[i];
            if (id == 0 || id > getLastRequestId) revert InvalidRequestId(id);
            if (id > getLastFinalizedRequestId || _requests[id].isClaimed) continue;
            if (hints[i] == 0 || hints[i] > getLastCheckpointIndex()) revert InvalidHint(hints[i]);
            amounts[i] = _payable[id];
        }
    }

    // ------------------------------------------------------------------ holders

    function requestWithdrawals(uint256[] calldata amounts, address owner_) external returns (uint256[] memory ids) {
        if (isPaused) revert ResumedExpected();
        ids = new uint256[](amounts.length);
        for (uint256 i; i < amounts.length; ++i) {
            stETH.transferFrom(msg.sender, address(this), amounts[i]);
            ids[i] = _enqueue(amounts[i], owner_);
        }
    }

    function requestWithdrawalsWstETH(uint256[] calldata amounts, address owner_)
        external
        returns (uint256[] memory ids)
    {
        if (isPaused) revert ResumedExpected();
        ids = new uint256[](amounts.length);
        for (uint256 i; i < amounts.length; ++i) {
            wstETH.transferFrom(msg.sender, address(this), amounts[i]);
            ids[i] = _enqueue(wstETH.unwrap(amounts[i]), owner_);
        }
    }

    function claimWithdrawal(uint256 id) external {
        WithdrawalRequestStatus storage r = _requests[id];
        if (!r.isFinalized) revert RequestNotFoundOrNotFinalized(id);
        if (r.isClaimed) revert RequestAlreadyClaimed(id);
        if (r.owner != msg.sender) revert NotOwner(msg.sender, r.owner);
        r.isClaimed = true;
        uint256 amount = _payable[id];
        (bool paid,) = msg.sender.call{value: amount}("");
        if (!paid) revert CantSendValueRecipientMayHaveReverted();
        emit WithdrawalClaimed(id, msg.sender, msg.sender, amount);
    }

    // ------------------------------------------------------------------ the oracle

    /// @notice Everything up to `lastId` is paid for at the present rate, by ether of the pool.
    function finalize(uint256 lastId) external onlyOwner {
        uint256 first = getLastFinalizedRequestId + 1;
        uint256 locked;
        for (uint256 id = first; id <= lastId; ++id) {
            WithdrawalRequestStatus storage r = _requests[id];
            uint256 worth = stETH.getPooledEthByShares(r.amountOfShares);
            uint256 paid = worth < r.amountOfStETH ? worth : r.amountOfStETH;
            r.isFinalized = true;
            _payable[id] = paid;
            locked += paid;
            stETH.settleWithdrawal(paid, r.amountOfShares);
        }
        getLastFinalizedRequestId = lastId;
        _checkpoints.push(first);
        emit WithdrawalsFinalized(first, lastId, locked);
    }

    function setPaused(bool paused) external onlyOwner {
        isPaused = paused;
    }

    function _enqueue(uint256 amount, address owner_) private returns (uint256 id) {
        if (amount < MIN_STETH_WITHDRAWAL_AMOUNT) revert RequestAmountTooSmall(amount);
        if (amount > MAX_STETH_WITHDRAWAL_AMOUNT) revert RequestAmountTooLarge(amount);
        id = ++getLastRequestId;
        address owner = owner_ == address(0) ? msg.sender : owner_;
        uint256 shares = stETH.getSharesByPooledEth(amount);
        _requests[id] = WithdrawalRequestStatus(amount, shares, owner, block.timestamp, false, false);
        emit WithdrawalRequested(id, msg.sender, owner, amount, shares);
    }
}
