// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

/// @title What an executor asks its policy. The caller is the executor whose policy is meant.
/// @dev Every function reverts with a typed error where the policy refuses.
interface IPolicyRegistry {
    /// @param data final calldata, splices included
    /// @param splicedWords bit i is set if head word i came from a measurement
    /// @param reducing only entries marked `reduce` pass
    function checkCall(
        address target,
        uint256 value,
        bytes calldata data,
        uint256 splicedWords,
        bool reducing
    ) external view;

    function checkAllowance(address target, bytes4 selector, address token, address spender) external view;

    function checkLender(address lender, uint8 kind, address[] calldata tokens) external view;

    /// @param fee UNISWAP_V3: the pool's; SOLIDLY: 1 for the stable pair, else zero; other kinds: zero
    /// @return pool the factory's pool for the pair, known to have code
    /// @return feePpm the factory's own fee (V2 kinds) [parts per million]
    function poolOf(uint8 kind, address factory, address tokenIn, address tokenOut, uint24 fee, bool reducing)
        external
        view
        returns (address pool, uint256 feePpm);

    /// @return packed class << 160 | token, the native coin (`Tokens.NATIVE`) first
    function trackedTokens(address executor) external view returns (uint256[] memory packed);
}

/// @dev How a tracked token is treated at the end of an execution.
uint8 constant TOKEN_PAID_OUT = 1; // what is left goes to the beneficiary
uint8 constant TOKEN_KEPT = 2; // a position (receipt) that stays
uint8 constant TOKEN_DEBT = 3; // may not grow unless the plan lists it

uint8 constant LENDER_BALANCER_V2 = 1;
uint8 constant LENDER_AAVE_V3 = 2; // flashLoanSimple
uint8 constant LENDER_AAVE_V3_MULTI = 3; // flashLoan
uint8 constant LENDER_MORPHO_BLUE = 4;
uint8 constant LENDER_UNISWAP_V3 = 5; // a pool's flash
uint8 constant LENDER_ERC3156 = 6;

/// @dev A factory's kind tells the salt under which it creates pools; its callback's name is the executor's affair.
uint8 constant FACTORY_UNISWAP_V2 = 1; // packed tokens; one fixed fee
uint8 constant FACTORY_UNISWAP_V3 = 2; // tokens and fee (or tick spacing)
uint8 constant FACTORY_SOLIDLY = 3; // packed tokens and the stable flag; the pair quotes itself
uint8 constant FACTORY_CAMELOT = 4; // packed tokens; fees per pair and direction, the pair quotes itself
uint8 constant FACTORY_ALGEBRA = 5; // tokens; the pool sets its fee
