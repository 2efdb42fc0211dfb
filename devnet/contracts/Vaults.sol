// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ERC4626} from "@openzeppelin/contracts/token/ERC20/extensions/ERC4626.sol";

/// @notice OpenZeppelin's ERC-4626 whose yield is what anybody sends it, and whose owner can stop it.
contract YieldVault is ERC4626, Ownable {
    uint8 private immutable _offset;
    bool public stopped;

    constructor(IERC20 asset_, string memory name_, string memory symbol_, uint8 offset_, address owner_)
        ERC20(name_, symbol_)
        ERC4626(asset_)
        Ownable(owner_)
    {
        _offset = offset_;
    }

    function setStopped(bool stopped_) external onlyOwner {
        stopped = stopped_;
    }

    function maxDeposit(address receiver) public view virtual override returns (uint256) {
        return stopped ? 0 : super.maxDeposit(receiver);
    }

    function maxMint(address receiver) public view virtual override returns (uint256) {
        return stopped ? 0 : super.maxMint(receiver);
    }

    function maxRedeem(address owner_) public view virtual override returns (uint256) {
        return stopped ? 0 : super.maxRedeem(owner_);
    }

    function _decimalsOffset() internal view override returns (uint8) {
        return _offset;
    }
}

/// @notice The same, answering zero to every question about maxima, which it does not keep to: some vaults do.
contract OpaqueVault is YieldVault {
    constructor(IERC20 asset_, string memory name_, string memory symbol_, uint8 offset_, address owner_)
        YieldVault(asset_, name_, symbol_, offset_, owner_)
    {}

    function maxDeposit(address) public pure override returns (uint256) {
        return 0;
    }

    function maxMint(address) public pure override returns (uint256) {
        return 0;
    }

    function maxWithdraw(address) public pure override returns (uint256) {
        return 0;
    }

    function maxRedeem(address) public pure override returns (uint256) {
        return 0;
    }

    function deposit(uint256 assets, address receiver) public override returns (uint256 shares) {
        shares = previewDeposit(assets);
        _deposit(msg.sender, receiver, assets, shares);
    }

    function withdraw(uint256 assets, address receiver, address owner_) public override returns (uint256 shares) {
        shares = previewWithdraw(assets);
        _withdraw(msg.sender, receiver, owner_, assets, shares);
    }

    function redeem(uint256 shares, address receiver, address owner_) public override returns (uint256 assets) {
        assets = previewRedeem(shares);
        _withdraw(msg.sender, receiver, owner_, assets, shares);
    }
}
