// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {IAaveReceiver, IAaveSimpleReceiver} from "../../src/Lenders.sol";
import {IERC20} from "../../src/Tokens.sol";
import {TestToken} from "./TestToken.sol";

interface IMorphoReceiver {
    function onMorphoFlashLoan(uint256 assets, bytes calldata data) external;
}

interface IERC3156Receiver {
    function onFlashLoan(address initiator, address token, uint256 amount, uint256 fee, bytes calldata data)
        external
        returns (bytes32);
}

/// @dev Every kind of flash lender but Balancer in one: honest by default, and as bad as a test likes.
contract MoodyLender {
    enum Mood {
        HONEST,
        HUGE_FEE,
        SILENT,
        OTHER_DATA,
        OTHER_TOKEN,
        OTHER_AMOUNT,
        TWICE,
        OTHER_INITIATOR,
        UNPULLED,
        FEWER
    }

    Mood public mood;
    uint256 public fee;
    bytes4 public flashName;
    address public token0;
    address public token1;
    address public otherToken;

    constructor(address a, address b) {
        (token0, token1) = a < b ? (a, b) : (b, a);
        otherToken = address(new TestToken("OTHER"));
    }

    function set(Mood mood_) external {
        mood = mood_;
    }

    function setFee(uint256 fee_) external {
        fee = fee_;
    }

    function setFlashName(string calldata signature) external {
        flashName = bytes4(keccak256(bytes(signature)));
    }

    function setTokens(address token0_, address token1_) external {
        (token0, token1) = (token0_, token1_);
    }

    // --------------------------------------------------------------------- Aave V3

    function flashLoanSimple(address to, address asset, uint256 amount, bytes memory params, uint16)
        external
    {
        if (mood == Mood.SILENT) return;
        _lend(asset, to, amount);
        (address told, uint256 toldAmount, uint256 premium, address initiator) = _told(asset, amount);
        _spoil(params);
        for (uint256 i = 0; i < _times(); ++i) {
            require(
                IAaveSimpleReceiver(to).executeOperation(told, toldAmount, premium, initiator, params),
                "false"
            );
        }
        _pull(asset, to, amount + premium);
    }

    function flashLoan(
        address to,
        address[] memory assets,
        uint256[] memory amounts,
        uint256[] memory modes,
        address onBehalfOf,
        bytes memory params,
        uint16
    ) external {
        require(onBehalfOf == to && modes.length == assets.length, "modes");
        if (mood == Mood.SILENT) return;
        uint256[] memory premiums = new uint256[](mood == Mood.FEWER ? assets.length - 1 : assets.length);
        address initiator;
        for (uint256 i = 0; i < assets.length; ++i) {
            require(modes[i] == 0, "a debt");
            _lend(assets[i], to, amounts[i]);
            uint256 premium;
            (assets[i], amounts[i], premium, initiator) = _told(assets[i], amounts[i]);
            if (i < premiums.length) premiums[i] = premium;
        }
        _spoil(params);
        for (uint256 i = 0; i < _times(); ++i) {
            require(IAaveReceiver(to).executeOperation(assets, amounts, premiums, initiator, params), "false");
        }
        for (uint256 i = 0; i < assets.length; ++i) {
            _pull(assets[i], to, amounts[i] + premiums[i]);
        }
    }

    // ----------------------------------------------------------------- Morpho Blue

    function flashLoan(address token, uint256 assets, bytes memory data) external {
        if (mood == Mood.SILENT) return;
        _lend(token, msg.sender, assets);
        _spoil(data);
        (, uint256 told,,) = _told(token, assets);
        for (uint256 i = 0; i < _times(); ++i) {
            IMorphoReceiver(msg.sender).onMorphoFlashLoan(told, data);
        }
        _pull(token, msg.sender, assets);
    }

    // -------------------------------------------------------------------- ERC-3156

    function flashLoan(address to, address token, uint256 amount, bytes memory data) external returns (bool) {
        if (mood == Mood.SILENT) return true;
        _lend(token, to, amount);
        (address told, uint256 toldAmount, uint256 due, address initiator) = _told(token, amount);
        _spoil(data);
        for (uint256 i = 0; i < _times(); ++i) {
            bytes32 answer = IERC3156Receiver(to).onFlashLoan(initiator, told, toldAmount, due, data);
            require(answer == keccak256("ERC3156FlashBorrower.onFlashLoan"), "answer");
        }
        _pull(token, to, amount + due);
        return true;
    }

    // ------------------------------------------------------- Uniswap V3 and its forks

    function flash(address to, uint256 amount0, uint256 amount1, bytes memory data) external {
        if (mood == Mood.SILENT) return;
        uint256 due = mood == Mood.HUGE_FEE ? 1_000 ether : fee;
        (uint256 before0, uint256 before1) = _holdings();
        if (amount0 != 0) _lend(token0, to, amount0);
        if (amount1 != 0) _lend(token1, to, amount1);
        _spoil(data);
        (uint256 fee0, uint256 fee1) = (amount0 == 0 ? 0 : due, amount1 == 0 ? 0 : due);
        for (uint256 i = 0; i < _times(); ++i) {
            (bool ok, bytes memory answer) = to.call(abi.encodeWithSelector(flashName, fee0, fee1, data));
            if (!ok) {
                assembly ("memory-safe") {
                    revert(add(answer, 32), mload(answer))
                }
            }
        }
        (uint256 after0, uint256 after1) = _holdings();
        require(after0 >= before0 + fee0 && after1 >= before1 + fee1, "unpaid");
    }

    // -------------------------------------------------------------------- internal

    function _holdings() private view returns (uint256, uint256) {
        return (IERC20(token0).balanceOf(address(this)), IERC20(token1).balanceOf(address(this)));
    }

    function _lend(address token, address to, uint256 amount) private {
        require(IERC20(token).transfer(to, amount), "transfer");
    }

    function _told(address token, uint256 amount)
        private
        view
        returns (address told, uint256 toldAmount, uint256 due, address initiator)
    {
        told = mood == Mood.OTHER_TOKEN ? otherToken : token;
        toldAmount = mood == Mood.OTHER_AMOUNT ? amount + 1 : amount;
        due = mood == Mood.HUGE_FEE ? 1_000 ether : fee;
        initiator = mood == Mood.OTHER_INITIATOR ? address(this) : msg.sender;
    }

    function _spoil(bytes memory data) private view {
        if (mood == Mood.OTHER_DATA) data[data.length - 1] ^= 0x01;
    }

    function _times() private view returns (uint256) {
        return mood == Mood.TWICE ? 2 : 1;
    }

    function _pull(address token, address from, uint256 amount) private {
        if (mood == Mood.UNPULLED) return;
        TestToken(token).transferFrom(from, address(this), amount);
    }
}
