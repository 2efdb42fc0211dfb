// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {
    IAavePool,
    IAaveReceiver,
    IAaveSimpleReceiver,
    IBalancerVault,
    IERC3156Lender,
    IMorpho,
    IUniswapV3Pool
} from "./Lenders.sol";
import {
    LENDER_AAVE_V3,
    LENDER_AAVE_V3_MULTI,
    LENDER_BALANCER_V2,
    LENDER_ERC3156,
    LENDER_MORPHO_BLUE,
    LENDER_UNISWAP_V3
} from "./IPolicyRegistry.sol";
import {Running} from "./Running.sol";
import {Scratch} from "./Scratch.sol";
import {StreamLib} from "./Stream.sol";
import {Tokens} from "./Tokens.sol";

/// @title Flash loans: one operation for six kinds of lender, and their callbacks.
///
/// @notice What goes to the lender and comes back with the callback is one hashed piece: loans (token, amount, most
///         that is repaid), then the operations to run. So a lender can change neither what is run nor what it is
///         paid. Lenders that are paid by transfer get it at the end of their callback; those that pull (Aave,
///         Morpho, ERC-3156) get an exact allowance there, cleared once they have returned.
///
/// @dev Data: number of loans (1, high bit: the only loan is of the pool's token1), n x (token (20), amount (32),
///      maximum (32)), operations.
abstract contract Loans is Running {
    using StreamLib for StreamLib.Stream;

    error UnknownLenderKind(uint256 kind);
    error LoanCount(uint256 kind, uint256 count);
    error LoanDiffers(address token);

    bytes32 private constant ERC3156_SUCCESS = keccak256("ERC3156FlashBorrower.onFlashLoan");
    uint256 private constant LOAN_BYTES = 84;
    uint8 private constant SECOND_TOKEN = 0x80;

    // ----------------------------------------------------------------- callbacks

    /// @notice Balancer V2. It names no initiator, and anyone may name us as recipient: the frame is the proof.
    function receiveFlashLoan(
        address[] calldata tokens,
        uint256[] calldata amounts,
        uint256[] calldata fees,
        bytes calldata userData
    ) external {
        (StreamLib.Stream memory loans, uint256 count) = _runLoan(this.receiveFlashLoan.selector, userData);
        if (tokens.length != count || amounts.length != count || fees.length != count) {
            revert LoanDiffers(address(0));
        }
        for (uint256 i = 0; i < tokens.length; ++i) {
            uint256 owed = _owed(loans, tokens[i], amounts[i], fees[i]);
            Tokens.pay(tokens[i], msg.sender, owed);
        }
    }

    /// @notice Aave V3, `flashLoanSimple`.
    function executeOperation(
        address asset,
        uint256 amount,
        uint256 premium,
        address initiator,
        bytes calldata params
    ) external returns (bool) {
        if (initiator != address(this)) revert NotOurs(initiator);
        (StreamLib.Stream memory loans,) = _runLoan(IAaveSimpleReceiver.executeOperation.selector, params);
        Tokens.allowExactly(asset, msg.sender, _owed(loans, asset, amount, premium));
        return true;
    }

    /// @notice Aave V3, `flashLoan`.
    function executeOperation(
        address[] calldata assets,
        uint256[] calldata amounts,
        uint256[] calldata premiums,
        address initiator,
        bytes calldata params
    ) external returns (bool) {
        if (initiator != address(this)) revert NotOurs(initiator);
        (StreamLib.Stream memory loans, uint256 count) =
            _runLoan(IAaveReceiver.executeOperation.selector, params);
        if (assets.length != count || amounts.length != count || premiums.length != count) {
            revert LoanDiffers(address(0));
        }
        for (uint256 i = 0; i < assets.length; ++i) {
            uint256 owed = _owed(loans, assets[i], amounts[i], premiums[i]);
            Tokens.allowExactly(assets[i], msg.sender, owed);
        }
        return true;
    }

    /// @notice Morpho Blue, which takes no fee.
    function onMorphoFlashLoan(uint256 assets, bytes calldata data) external {
        (StreamLib.Stream memory loans,) = _runLoan(this.onMorphoFlashLoan.selector, data);
        (address token, uint256 amount,) = _next(loans);
        if (assets != amount) revert LoanDiffers(token);
        Tokens.allowExactly(token, msg.sender, assets);
    }

    /// @notice Uniswap V3 `flash`, and its forks by their own names.
    function uniswapV3FlashCallback(uint256 fee0, uint256 fee1, bytes calldata data) external {
        _poolFlashed(fee0, fee1, data);
    }

    function pancakeV3FlashCallback(uint256 fee0, uint256 fee1, bytes calldata data) external {
        _poolFlashed(fee0, fee1, data);
    }

    function algebraFlashCallback(uint256 fee0, uint256 fee1, bytes calldata data) external {
        _poolFlashed(fee0, fee1, data);
    }

    /// @notice ERC-3156.
    function onFlashLoan(address initiator, address token, uint256 amount, uint256 fee, bytes calldata data)
        external
        returns (bytes32)
    {
        if (initiator != address(this)) revert NotOurs(initiator);
        (StreamLib.Stream memory loans,) = _runLoan(this.onFlashLoan.selector, data);
        Tokens.allowExactly(token, msg.sender, _owed(loans, token, amount, fee));
        return ERC3156_SUCCESS;
    }

    // ----------------------------------------------------------------- borrowing

    function _flash(StreamLib.Stream memory stream) internal {
        uint8 kind = uint8(stream.number(1));
        if (kind > LENDER_ERC3156) revert UnknownLenderKind(kind);
        address lender = stream.account();
        (address[] memory tokens, uint256[] memory amounts, bytes memory data) = _readLoans(stream, kind);
        registry.checkLender(lender, kind, tokens);
        if (kind != LENDER_BALANCER_V2 && kind != LENDER_AAVE_V3_MULTI) {
            uint256 most = kind == LENDER_UNISWAP_V3 ? 2 : 1;
            if (tokens.length == 0 || tokens.length > most) revert LoanCount(kind, tokens.length);
        }

        if (kind == LENDER_BALANCER_V2) {
            bytes4 selector = this.receiveFlashLoan.selector;
            Scratch.arm(lender, selector, keccak256(data));
            IBalancerVault(lender).flashLoan(address(this), tokens, amounts, data);
            Scratch.disarm(lender, selector);
        } else if (kind == LENDER_UNISWAP_V3) {
            _flashPool(lender, tokens, amounts, data);
        } else {
            _flashPulled(kind, lender, tokens, amounts, data);
            for (uint256 i = 0; i < tokens.length; ++i) {
                Tokens.clearAllowance(tokens[i], lender);
            }
        }
    }

    function _flashPulled(
        uint8 kind,
        address lender,
        address[] memory tokens,
        uint256[] memory amounts,
        bytes memory data
    ) private {
        bytes4 selector = _callbackOf(kind);
        Scratch.arm(lender, selector, keccak256(data));
        if (kind == LENDER_AAVE_V3) {
            IAavePool(lender).flashLoanSimple(address(this), tokens[0], amounts[0], data, 0);
        } else if (kind == LENDER_AAVE_V3_MULTI) {
            // Modes of zero: what is not repaid at once is refused, never turned into a debt.
            uint256[] memory modes = new uint256[](tokens.length);
            IAavePool(lender).flashLoan(address(this), tokens, amounts, modes, address(this), data, 0);
        } else if (kind == LENDER_MORPHO_BLUE) {
            IMorpho(lender).flashLoan(tokens[0], amounts[0], data);
        } else {
            IERC3156Lender(lender).flashLoan(address(this), tokens[0], amounts[0], data);
        }
        Scratch.disarm(lender, selector);
    }

    function _flashPool(address pool, address[] memory tokens, uint256[] memory amounts, bytes memory data)
        private
    {
        bool second = tokens[0] == IUniswapV3Pool(pool).token1();
        if (!second && tokens[0] != IUniswapV3Pool(pool).token0()) revert LoanDiffers(tokens[0]);
        uint256 amount0 = second ? 0 : amounts[0];
        uint256 amount1 = second ? amounts[0] : 0;
        if (tokens.length == 2) {
            // In order of address, as the pool's own.
            if (second || tokens[1] != IUniswapV3Pool(pool).token1()) revert LoanDiffers(tokens[1]);
            amount1 = amounts[1];
        }
        if (second) data[0] |= bytes1(SECOND_TOKEN);
        bytes4 selector = this.uniswapV3FlashCallback.selector;
        Scratch.arm(pool, selector, keccak256(data));
        IUniswapV3Pool(pool).flash(address(this), amount0, amount1, data);
        Scratch.disarm(pool, selector);
    }

    function _callbackOf(uint8 kind) private pure returns (bytes4) {
        if (kind == LENDER_AAVE_V3) return IAaveSimpleReceiver.executeOperation.selector;
        if (kind == LENDER_AAVE_V3_MULTI) return IAaveReceiver.executeOperation.selector;
        if (kind == LENDER_MORPHO_BLUE) return Loans.onMorphoFlashLoan.selector;
        return Loans.onFlashLoan.selector;
    }

    function _readLoans(StreamLib.Stream memory stream, uint8 kind)
        private
        view
        returns (address[] memory tokens, uint256[] memory amounts, bytes memory data)
    {
        uint256 count = stream.number(1);
        if (count >= SECOND_TOKEN) revert LoanCount(kind, count);
        tokens = new address[](count);
        amounts = new uint256[](count);
        bytes memory loans = new bytes(LOAN_BYTES * count);
        for (uint256 i = 0; i < count; ++i) {
            (address token, uint256 amount) = (stream.account(), stream.amount());
            uint256 maximum = amount + stream.amount();
            (tokens[i], amounts[i]) = (token, amount);
            assembly ("memory-safe") {
                let at := add(add(loans, 32), mul(i, LOAN_BYTES))
                mstore(at, shl(96, token))
                mstore(add(at, 20), amount)
                mstore(add(at, 52), maximum)
            }
        }
        data = bytes.concat(bytes1(uint8(count)), loans, stream.slice(stream.number(3)));
    }

    // ------------------------------------------------------------- in the callback

    /// @notice Consumes the armed frame and runs what is nested.
    /// @return loans stands before the first loan
    /// @return head number of loans, and SECOND_TOKEN
    function _runLoan(bytes4 selector, bytes calldata data)
        private
        returns (StreamLib.Stream memory loans, uint256 head)
    {
        Scratch.enter(selector, keccak256(data));
        StreamLib.Stream memory stream = StreamLib.open(data);
        head = stream.number(1);
        loans = StreamLib.open(stream.slice((head & (SECOND_TOKEN - 1)) * LOAN_BYTES));
        _run(stream);
    }

    function _poolFlashed(uint256 fee0, uint256 fee1, bytes calldata data) private {
        (StreamLib.Stream memory loans, uint256 head) = _runLoan(this.uniswapV3FlashCallback.selector, data);
        uint256 fee = head & SECOND_TOKEN == 0 ? fee0 : fee1;
        while (loans.more()) {
            (address token, uint256 amount, uint256 maximum) = _next(loans);
            Tokens.pay(token, msg.sender, _bounded(token, amount + fee, maximum));
            fee = fee1;
        }
    }

    /// @dev Lender and plan must speak of the same loan.
    function _owed(StreamLib.Stream memory loans, address token, uint256 amount, uint256 fee)
        private
        pure
        returns (uint256)
    {
        (address lent, uint256 asked, uint256 maximum) = _next(loans);
        if (token != lent || amount != asked) revert LoanDiffers(token);
        return _bounded(token, amount + fee, maximum);
    }

    function _next(StreamLib.Stream memory loans)
        private
        pure
        returns (address token, uint256 amount, uint256 maximum)
    {
        return (loans.account(), loans.number(32), loans.number(32));
    }

    function _bounded(address token, uint256 owed, uint256 maximum) private pure returns (uint256) {
        if (owed > maximum) revert RepaymentAboveMaximum(token, owed, maximum);
        return owed;
    }
}
