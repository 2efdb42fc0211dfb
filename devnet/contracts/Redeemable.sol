// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// @notice A stablecoin that markets may price below par while its issuer redeems it at par.
/// @dev The owner (the issuer) mints and burns; accounts can be frozen: they neither send nor receive.
contract RedeemableUsd is ERC20, Ownable {
    mapping(address account => bool) public frozen;

    error Frozen(address account);

    constructor(address owner_) ERC20("Redeemable Dollar", "RUSD") Ownable(owner_) {}

    function mint(address to, uint256 amount) external onlyOwner {
        _mint(to, amount);
    }

    function burn(address from, uint256 amount) external onlyOwner {
        _burn(from, amount);
    }

    function setFrozen(address account, bool frozen_) external onlyOwner {
        frozen[account] = frozen_;
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (frozen[from]) revert Frozen(from);
        if (frozen[to]) revert Frozen(to);
        super._update(from, to, amount);
    }
}

/// @notice Issues and redeems the stablecoin against one asset: at once within a daily allowance, else by a queue.
/// @dev The token has 18 decimals; `scale` is its units in one unit of the asset. All conversions round against
/// the holder. A global freeze stops everything, paying out finished requests included.
contract RedemptionDesk is Ownable {
    using SafeERC20 for IERC20;

    struct Request {
        address account;
        uint128 assets; // what will be paid [asset units]
        uint64 payableFrom; // [unix s]
        bool claimed;
    }

    uint256 internal constant BPS = 10_000;
    uint256 internal constant WINDOW_S = 1 days;

    IERC20 public immutable asset;
    RedeemableUsd public immutable token;
    uint256 public immutable scale;

    /// @notice Of what is redeemed at once. [bps]
    uint256 public instantFeeBps;
    /// @notice Of what goes through the queue. [bps]
    uint256 public queueFeeBps;
    /// @notice What may leave at once a day, all holders together. [asset units]
    uint256 public instantCap;
    /// @notice Smallest amount redeemed. [token units]
    uint256 public minimum;
    /// @notice From a request to its earliest payment. [s]
    uint256 public delayS;
    bool public frozen;

    uint256 public windowStart;
    uint256 public windowUsed;
    /// @notice Owed to requests not yet claimed. [asset units]
    uint256 public reserved;
    /// @notice Requests up to this number have their money set aside.
    uint256 public fundedUpTo;
    Request[] internal _requests;

    event Issued(address indexed account, uint256 assets, uint256 amount);
    event Redeemed(address indexed account, uint256 amount, uint256 assets);
    event Requested(uint256 indexed id, address indexed account, uint256 amount, uint256 assets, uint256 payableFrom);
    event Funded(uint256 fundedUpTo);
    event Claimed(uint256 indexed id, address indexed account, uint256 assets);

    error RedemptionFrozen();
    error BelowMinimum(uint256 amount, uint256 minimum);
    error TooLittle(uint256 assets, uint256 wanted);
    error InstantLimit(uint256 assets, uint256 available);
    error NotReady(uint256 id);
    error NotYours(uint256 id);
    error AlreadyClaimed(uint256 id);

    modifier thawed() {
        if (frozen) revert RedemptionFrozen();
        _;
    }

    constructor(IERC20 asset_, uint256 scale_, address owner_) Ownable(owner_) {
        asset = asset_;
        scale = scale_;
        token = new RedeemableUsd(address(this));
        _requests.push(); // numbers begin at 1
    }

    // ------------------------------------------------------------------ views

    /// @notice What can be redeemed at once now, before the fee is taken off. [asset units]
    function instantAvailable() public view returns (uint256) {
        uint256 used = block.timestamp >= windowStart + WINDOW_S ? 0 : windowUsed;
        uint256 left = instantCap > used ? instantCap - used : 0;
        uint256 held = asset.balanceOf(address(this));
        uint256 free = held > reserved ? held - reserved : 0;
        return left < free ? left : free;
    }

    function requestCount() external view returns (uint256) {
        return _requests.length - 1;
    }

    /// @return account who is paid
    /// @return assets how much [asset units]
    /// @return payableFrom from when [unix s]
    /// @return funded whether the money is set aside
    /// @return claimed whether it was paid
    function request(uint256 id)
        external
        view
        returns (address account, uint256 assets, uint256 payableFrom, bool funded, bool claimed)
    {
        Request storage r = _requests[id];
        return (r.account, r.assets, r.payableFrom, id <= fundedUpTo, r.claimed);
    }

    /// @notice Numbers of what an account has asked for and not been paid.
    function openRequests(address account) external view returns (uint256[] memory ids) {
        uint256 count;
        ids = new uint256[](_requests.length);
        for (uint256 id = 1; id < _requests.length; ++id) {
            if (_requests[id].account == account && !_requests[id].claimed) ids[count++] = id;
        }
        assembly ("memory-safe") {
            mstore(ids, count)
        }
    }

    // ------------------------------------------------------------------ holders

    /// @notice Asset in, token out at par.
    function issue(uint256 assets) external thawed returns (uint256 amount) {
        amount = assets * scale;
        asset.safeTransferFrom(msg.sender, address(this), assets);
        token.mint(msg.sender, amount);
        emit Issued(msg.sender, assets, amount);
    }

    /// @notice Token in, asset out at par less the instant fee.
    function redeem(uint256 amount, uint256 minAssets) external thawed returns (uint256 assets) {
        if (amount < minimum) revert BelowMinimum(amount, minimum);
        uint256 gross = amount / scale;
        uint256 available = instantAvailable();
        if (gross > available) revert InstantLimit(gross, available);
        if (block.timestamp >= windowStart + WINDOW_S) {
            windowStart = block.timestamp;
            windowUsed = 0;
        }
        windowUsed += gross;
        assets = gross * (BPS - instantFeeBps) / BPS;
        if (assets < minAssets) revert TooLittle(assets, minAssets);
        token.burn(msg.sender, amount);
        asset.safeTransfer(msg.sender, assets);
        emit Redeemed(msg.sender, amount, assets);
    }

    /// @notice Token in now, asset out at par less the queue fee, once it is funded and the delay is over.
    function requestRedemption(uint256 amount) external thawed returns (uint256 id) {
        if (amount < minimum) revert BelowMinimum(amount, minimum);
        uint256 assets = (amount / scale) * (BPS - queueFeeBps) / BPS;
        token.burn(msg.sender, amount);
        id = _requests.length;
        uint256 from = block.timestamp + delayS;
        _requests.push(Request(msg.sender, uint128(assets), uint64(from), false));
        emit Requested(id, msg.sender, amount, assets, from);
    }

    function claim(uint256 id) external thawed returns (uint256 assets) {
        Request storage r = _requests[id];
        if (r.account != msg.sender) revert NotYours(id);
        if (r.claimed) revert AlreadyClaimed(id);
        if (id > fundedUpTo || block.timestamp < r.payableFrom) revert NotReady(id);
        r.claimed = true;
        assets = r.assets;
        reserved -= assets;
        asset.safeTransfer(msg.sender, assets);
        emit Claimed(id, msg.sender, assets);
    }

    // ------------------------------------------------------------------ the issuer

    /// @notice Set money aside, in order of requests, as far as what is held and not reserved goes.
    function fund() external {
        uint256 held = asset.balanceOf(address(this));
        while (fundedUpTo + 1 < _requests.length) {
            uint256 assets = _requests[fundedUpTo + 1].assets;
            if (reserved + assets > held) break;
            reserved += assets;
            ++fundedUpTo;
        }
        emit Funded(fundedUpTo);
    }

    function setTerms(
        uint256 instantFeeBps_,
        uint256 queueFeeBps_,
        uint256 instantCap_,
        uint256 minimum_,
        uint256 delayS_
    ) external onlyOwner {
        (instantFeeBps, queueFeeBps, instantCap) = (instantFeeBps_, queueFeeBps_, instantCap_);
        (minimum, delayS) = (minimum_, delayS_);
    }

    function setFrozen(bool frozen_) external onlyOwner {
        frozen = frozen_;
    }

    function setAccountFrozen(address account, bool frozen_) external onlyOwner {
        token.setFrozen(account, frozen_);
    }
}
