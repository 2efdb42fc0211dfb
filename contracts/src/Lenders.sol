// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

/// @dev The few functions of others' contracts that the executor calls by itself, and the names by which they
///      call back.

// -------------------------------------------------------------------- flash lenders

interface IBalancerVault {
    function flashLoan(
        address recipient,
        address[] calldata tokens,
        uint256[] calldata amounts,
        bytes calldata userData
    ) external;
}

interface IAavePool {
    function flashLoanSimple(
        address receiver,
        address asset,
        uint256 amount,
        bytes calldata params,
        uint16 referralCode
    ) external;
    function flashLoan(
        address receiver,
        address[] calldata assets,
        uint256[] calldata amounts,
        uint256[] calldata interestRateModes,
        address onBehalfOf,
        bytes calldata params,
        uint16 referralCode
    ) external;
}

interface IMorpho {
    function flashLoan(address token, uint256 assets, bytes calldata data) external;
    function position(bytes32 market, address user)
        external
        view
        returns (uint256 supplyShares, uint128 borrowShares, uint128 collateral);
}

interface IERC3156Lender {
    function flashLoan(address receiver, address token, uint256 amount, bytes calldata data)
        external
        returns (bool);
}

interface IAaveSimpleReceiver {
    function executeOperation(
        address asset,
        uint256 amount,
        uint256 premium,
        address initiator,
        bytes calldata params
    ) external returns (bool);
}

interface IAaveReceiver {
    function executeOperation(
        address[] calldata assets,
        uint256[] calldata amounts,
        uint256[] calldata premiums,
        address initiator,
        bytes calldata params
    ) external returns (bool);
}

// ---------------------------------------------------------------------------- pools

interface IUniswapV2Pair {
    function getReserves()
        external
        view
        returns (uint112 reserve0, uint112 reserve1, uint32 blockTimestampLast);
    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes calldata data) external;
}

/// @dev Pairs whose price is not that of a fixed fee on a constant product: Solidly, Camelot.
interface IQuotingPair {
    function getAmountOut(uint256 amountIn, address tokenIn) external view returns (uint256);
}

interface IUniswapV3Pool {
    function swap(
        address recipient,
        bool zeroForOne,
        int256 amountSpecified,
        uint160 sqrtPriceLimitX96,
        bytes calldata data
    ) external returns (int256 amount0, int256 amount1);
    function flash(address recipient, uint256 amount0, uint256 amount1, bytes calldata data) external;
    function token0() external view returns (address);
    function token1() external view returns (address);
}

// ---------------------------------------------------------------------------- debts

interface IComet {
    function borrowBalanceOf(address account) external view returns (uint256);
}
