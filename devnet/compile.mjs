// Compiles the devnet's own contracts, and the published sources that come without bytecode, each group with the
// compiler that its authors used.
//
//   node compile.mjs own|published OUT.json
//
// OUT.json: {"contracts": {NAME: {source, bytecode, deployedBytecode, links: {LIBRARY: [offset]}}}}. `links` says
// where in the bytecode a library's address belongs; zeros stand there.
// Imports resolve inside this folder and its node_modules, nowhere else.

import {existsSync, readFileSync, readdirSync, writeFileSync} from "node:fs";
import {dirname, join} from "node:path";
import {fileURLToPath} from "node:url";

const here = dirname(fileURLToPath(import.meta.url));

const AAVE = "@aave-dao/aave-v3-origin/src/contracts";
const GROUPS = {
  own: () => [
    {
      compiler: "solc",
      evmVersion: "cancun",
      keys: readdirSync(join(here, "contracts"))
        .filter((name) => name.endsWith(".sol"))
        .sort()
        .map((name) => `contracts/${name}`),
    },
  ],
  published: () => [
    {
      compiler: "solc",
      evmVersion: "cancun",
      keys: [
        "@chainlink/contracts/src/v0.8/shared/mocks/MockV3Aggregator.sol",
        "@chainlink/contracts/src/v0.8/vendor/multicall/ebd8b64/src/Multicall3.sol",
      ],
    },
    {compiler: "solc-0.8.19", evmVersion: "paris", keys: ["@morpho-org/morpho-blue/src/Morpho.sol"]},
    {
      compiler: "solc-0.8.27",
      evmVersion: "cancun",
      remappings: [
        "openzeppelin-contracts/=@openzeppelin/",
        "solidity-utils/=@bgd-labs/solidity-utils/src/",
      ],
      keys: [
        `${AAVE}/helpers/AaveProtocolDataProvider.sol`,
        `${AAVE}/instances/ATokenInstance.sol`,
        `${AAVE}/instances/PoolConfiguratorInstance.sol`,
        `${AAVE}/instances/PoolInstance.sol`,
        `${AAVE}/instances/VariableDebtTokenInstance.sol`,
        `${AAVE}/misc/AaveOracle.sol`,
        `${AAVE}/misc/DefaultReserveInterestRateStrategyV2.sol`,
        `${AAVE}/protocol/configuration/ACLManager.sol`,
        `${AAVE}/protocol/configuration/PoolAddressesProvider.sol`,
        ...["Borrow", "Configurator", "FlashLoan", "Liquidation", "Pool", "Supply"].map(
          (name) => `${AAVE}/protocol/libraries/logic/${name}Logic.sol`,
        ),
      ],
    },
  ],
};

function sourcePath(key) {
  const own = join(here, key);
  return existsSync(own) ? own : join(here, "node_modules", key);
}

function readImport(key) {
  const path = sourcePath(key);
  return existsSync(path) ? {contents: readFileSync(path, "utf8")} : {error: `${key} is not installed`};
}

function unlinked(bytecode) {
  const links = {};
  let code = bytecode.object;
  for (const libraries of Object.values(bytecode.linkReferences)) {
    for (const [library, places] of Object.entries(libraries)) {
      links[library] = places.map((place) => place.start);
      for (const place of places) {
        const start = 2 * place.start;
        code = code.slice(0, start) + "0".repeat(2 * place.length) + code.slice(start + 2 * place.length);
      }
    }
  }
  return {code, links};
}

async function compiled(group) {
  const solc = (await import(group.compiler)).default;
  const input = {
    language: "Solidity",
    sources: Object.fromEntries(group.keys.map((key) => [key, {content: readFileSync(sourcePath(key), "utf8")}])),
    settings: {
      evmVersion: group.evmVersion,
      optimizer: {enabled: true, runs: 200},
      remappings: group.remappings ?? [],
      // Only what is deployed: code generation of everything imported takes three times as long.
      outputSelection: Object.fromEntries(
        group.keys.map((key) => [key, {"*": ["evm.bytecode", "evm.deployedBytecode.object"]}]),
      ),
    },
  };
  const result = JSON.parse(solc.compile(JSON.stringify(input), {import: readImport}));
  const errors = (result.errors ?? []).filter((entry) => entry.severity === "error");
  if (errors.length > 0) {
    console.error(errors.map((entry) => entry.formattedMessage).join("\n"));
    process.exit(1);
  }
  const contracts = {};
  for (const key of group.keys) {
    for (const [name, contract] of Object.entries(result.contracts[key] ?? {})) {
      if (contract.evm.bytecode.object === "") continue;
      const {code, links} = unlinked(contract.evm.bytecode);
      contracts[name] = {
        source: key,
        bytecode: `0x${code}`,
        // Of a contract with libraries the creation code alone is linked.
        deployedBytecode: Object.keys(links).length > 0 ? "0x" : `0x${contract.evm.deployedBytecode.object}`,
        links,
      };
    }
  }
  return contracts;
}

const [, , wanted, output] = process.argv;
if (output === undefined || !(wanted in GROUPS)) {
  console.error("usage: node compile.mjs own|published OUT.json");
  process.exit(2);
}
const contracts = {};
for (const group of GROUPS[wanted]()) Object.assign(contracts, await compiled(group));
writeFileSync(output, JSON.stringify({contracts}));
