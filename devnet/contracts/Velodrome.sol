// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {SolidlyFactory, SolidlyPair, SolidlyRouter} from "./Solidly.sol";

/// @notice Stand-in of a pool of Velodrome V2 and Aerodrome: Solidly's pair, but the curve's other side is the least
///         that satisfies it.
/// @dev The original is a minimal proxy, so that one creation code makes every pool. Here that is so because the
///      constructor asks the factory what to be.
contract VelodromePool is SolidlyPair {
    uint256 private constant STEPS = 255;

    error NoEnd();

    constructor()
        SolidlyPair(
            VelodromeFactory(msg.sender).next0(),
            VelodromeFactory(msg.sender).next1(),
            VelodromeFactory(msg.sender).nextStable()
        )
    {}

    function _other(uint256 x, uint256 k, uint256 y) internal view override returns (uint256) {
        uint256 cubed = x * x / ONE * x / ONE;
        for (uint256 i = 0; i < STEPS; ++i) {
            uint256 value = _curve(x, y);
            uint256 slope = 3 * x * (y * y / ONE) / ONE + cubed;
            uint256 step = (value < k ? k - value : value - k) * ONE / slope;
            if (value < k) {
                // As the original does, which divides by the tokens' units once more here.
                if (step == 0 && _k(x, y + 1) > k) return y + 1;
                y += step == 0 ? 1 : step;
            } else {
                if (step == 0 && (value == k || _curve(x, y - 1) < k)) return y;
                y -= step == 0 ? 1 : step;
            }
        }
        revert NoEnd();
    }

    function _curve(uint256 x, uint256 y) private pure returns (uint256) {
        return (x * y / ONE) * (x * x / ONE + y * y / ONE) / ONE;
    }
}

/// @notice Stand-in of their factory: one pool for each two tokens and curve, where CREATE2 puts it. Fees are in bps.
contract VelodromeFactory {
    /// @dev As a pool's own fee: none at all, since zero says that it has none of its own.
    uint256 public constant ZERO_FEE_INDICATOR = 420;

    error NotOwner();
    error PoolExists(address pool);

    address public immutable owner;
    bool public isPaused;
    uint256 public stableFee = 5;
    uint256 public volatileFee = 30;
    mapping(address pool => uint256 bps) public customFee;
    mapping(address token0 => mapping(address token1 => mapping(bool stable => address pool))) private _pools;

    address public next0;
    address public next1;
    bool public nextStable;

    constructor(address owner_) {
        owner = owner_;
    }

    function createPool(address tokenA, address tokenB, bool stable) external returns (address pool) {
        (address token0, address token1) = tokenA < tokenB ? (tokenA, tokenB) : (tokenB, tokenA);
        pool = _pools[token0][token1][stable];
        if (pool != address(0)) revert PoolExists(pool);
        (next0, next1, nextStable) = (token0, token1, stable);
        pool = address(new VelodromePool{salt: keccak256(abi.encodePacked(token0, token1, stable))}());
        _pools[token0][token1][stable] = pool;
    }

    function setPauseState(bool paused) external {
        if (msg.sender != owner) revert NotOwner();
        isPaused = paused;
    }

    function setCustomFee(address pool, uint256 bps) external {
        if (msg.sender != owner) revert NotOwner();
        customFee[pool] = bps;
    }

    function getPool(address tokenA, address tokenB, bool stable) public view returns (address) {
        (address token0, address token1) = tokenA < tokenB ? (tokenA, tokenB) : (tokenB, tokenA);
        return _pools[token0][token1][stable];
    }

    function getFee(address pool, bool stable) public view returns (uint256) {
        uint256 own = customFee[pool];
        if (own == ZERO_FEE_INDICATOR) return 0;
        if (own != 0) return own;
        return stable ? stableFee : volatileFee;
    }

    /// @notice What its pools ask.
    function feeOf(address pool) external view returns (uint256) {
        return getFee(pool, VelodromePool(pool).stable());
    }
}

/// @notice Stand-in of their router, as far as liquidity is taken back through it.
contract VelodromeRouter is SolidlyRouter {
    constructor(VelodromeFactory factory_) SolidlyRouter(SolidlyFactory(address(factory_))) {}

    function _pairOf(address tokenA, address tokenB, bool stable)
        internal
        view
        override
        returns (SolidlyPair)
    {
        return SolidlyPair(VelodromeFactory(address(factory)).getPool(tokenA, tokenB, stable));
    }
}
