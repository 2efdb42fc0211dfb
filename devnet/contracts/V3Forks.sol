// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// @notice Creates pools of a published creation code, whose constructor asks for `parameters()`.
/// @dev The code is longer than one call should carry: it is given in pieces, and can be created once all are there.
abstract contract PoolCreator {
    struct Parameters {
        address factory;
        address token0;
        address token1;
        uint24 fee;
        int24 tickSpacing;
    }

    error NotOwner();
    error NotCreated();

    address public immutable owner;
    Parameters public parameters;
    bytes private _creationCode;

    modifier onlyOwner() {
        if (msg.sender != owner) revert NotOwner();
        _;
    }

    constructor(address owner_) {
        owner = owner_;
    }

    function append(bytes calldata piece) external onlyOwner {
        _creationCode = bytes.concat(_creationCode, piece);
    }

    function initCodeHash() external view returns (bytes32) {
        return keccak256(_creationCode);
    }

    function _create(Parameters memory wanted, bytes32 salt) internal returns (address pool) {
        parameters = wanted;
        bytes memory code = _creationCode;
        assembly ("memory-safe") {
            pool := create2(0, add(code, 32), mload(code), salt)
        }
        if (pool == address(0)) revert NotCreated();
        delete parameters;
    }
}

/// @notice Stand-in of PancakeSwap V3's deployer, which is not published: it creates what the true factory asks for.
contract PancakeV3Deployer is PoolCreator {
    address public factoryAddress;

    constructor(address owner_) PoolCreator(owner_) {}

    function setFactoryAddress(address factory) external onlyOwner {
        factoryAddress = factory;
    }

    function deploy(address factory, address token0, address token1, uint24 fee, int24 tickSpacing)
        external
        returns (address)
    {
        if (msg.sender != factoryAddress) revert NotOwner();
        return
            _create(
                Parameters(factory, token0, token1, fee, tickSpacing), keccak256(abi.encode(token0, token1, fee))
            );
    }
}

/// @notice Stand-in of Slipstream's factory: pools by tick spacing instead of fee. Its pools are Uniswap's own here,
///         whose fee is fixed, where the original's asks its factory.
contract SlipstreamFactory is PoolCreator {
    mapping(int24 tickSpacing => uint24 fee) public tickSpacingToFee;
    mapping(address token0 => mapping(address token1 => mapping(int24 tickSpacing => address pool))) private _pools;

    error PoolExists(address pool);

    error SpacingDisabled(int24 tickSpacing);

    constructor(address owner_) PoolCreator(owner_) {}

    function enableTickSpacing(int24 tickSpacing, uint24 fee) external onlyOwner {
        tickSpacingToFee[tickSpacing] = fee;
    }

    function createPool(address tokenA, address tokenB, int24 tickSpacing) external returns (address pool) {
        uint24 fee = tickSpacingToFee[tickSpacing];
        if (fee == 0) revert SpacingDisabled(tickSpacing);
        (address token0, address token1) = tokenA < tokenB ? (tokenA, tokenB) : (tokenB, tokenA);
        pool = _pools[token0][token1][tickSpacing];
        if (pool != address(0)) revert PoolExists(pool);
        pool = _create(
            Parameters(address(this), token0, token1, fee, tickSpacing),
            keccak256(abi.encode(token0, token1, tickSpacing))
        );
        _pools[token0][token1][tickSpacing] = pool;
    }

    function getPool(address tokenA, address tokenB, int24 tickSpacing) external view returns (address) {
        (address token0, address token1) = tokenA < tokenB ? (tokenA, tokenB) : (tokenB, tokenA);
        return _pools[token0][token1][tickSpacing];
    }
}

interface IV3Pool {
    function token0() external view returns (address);
    function token1() external view returns (address);
    function mint(address recipient, int24 lower, int24 upper, uint128 liquidity, bytes calldata data)
        external
        returns (uint256, uint256);
}

/// @notice Brings liquidity to a pool of the V3 family from whoever calls, who has allowed it both tokens.
contract V3Bringer {
    using SafeERC20 for IERC20Metadata;

    address private _pool;

    error NotThePool(address caller);

    function bring(address pool, int24 lower, int24 upper, uint128 liquidity) external {
        _pool = pool;
        IV3Pool(pool).mint(msg.sender, lower, upper, liquidity, abi.encode(msg.sender));
        _pool = address(0);
    }

    function uniswapV3MintCallback(uint256 owed0, uint256 owed1, bytes calldata data) external {
        _pay(owed0, owed1, data);
    }

    function pancakeV3MintCallback(uint256 owed0, uint256 owed1, bytes calldata data) external {
        _pay(owed0, owed1, data);
    }

    function _pay(uint256 owed0, uint256 owed1, bytes calldata data) private {
        if (msg.sender != _pool) revert NotThePool(msg.sender);
        address payer = abi.decode(data, (address));
        if (owed0 != 0) IERC20Metadata(IV3Pool(msg.sender).token0()).safeTransferFrom(payer, msg.sender, owed0);
        if (owed1 != 0) IERC20Metadata(IV3Pool(msg.sender).token1()).safeTransferFrom(payer, msg.sender, owed1);
    }
}
