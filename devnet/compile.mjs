// Compiles the devnet's own stand-ins, and the published sources that come without bytecode, with the pinned solc.
//
//   node compile.mjs OUT.json
//
// OUT.json: {"compiler": "...", "contracts": {NAME: {source, abi, bytecode, deployedBytecode}}}.
// Imports resolve inside this folder and its node_modules, nowhere else.

import {existsSync, readFileSync, readdirSync, writeFileSync} from "node:fs";
import {dirname, join} from "node:path";
import {fileURLToPath} from "node:url";

import solc from "solc";

const here = dirname(fileURLToPath(import.meta.url));

const PUBLISHED = [
  "@chainlink/contracts/src/v0.8/shared/mocks/MockV3Aggregator.sol",
  "@chainlink/contracts/src/v0.8/vendor/multicall/ebd8b64/src/Multicall3.sol",
];

function sourcePath(key) {
  const own = join(here, key);
  return existsSync(own) ? own : join(here, "node_modules", key);
}

function readImport(key) {
  const path = sourcePath(key);
  return existsSync(path) ? {contents: readFileSync(path, "utf8")} : {error: `${key} is not installed`};
}

const output = process.argv[2];
if (output === undefined) {
  console.error("usage: node compile.mjs OUT.json");
  process.exit(2);
}

const own = readdirSync(join(here, "contracts")).filter((name) => name.endsWith(".sol")).sort();
const keys = [...own.map((name) => `contracts/${name}`), ...PUBLISHED];
const input = {
  language: "Solidity",
  sources: Object.fromEntries(keys.map((key) => [key, {content: readFileSync(sourcePath(key), "utf8")}])),
  settings: {
    evmVersion: "cancun",
    optimizer: {enabled: true, runs: 200},
    outputSelection: {"*": {"*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"]}},
  },
};

const result = JSON.parse(solc.compile(JSON.stringify(input), {import: readImport}));
const errors = (result.errors ?? []).filter((entry) => entry.severity === "error");
if (errors.length > 0) {
  console.error(errors.map((entry) => entry.formattedMessage).join("\n"));
  process.exit(1);
}

const contracts = {};
for (const key of keys) {
  for (const [name, contract] of Object.entries(result.contracts[key] ?? {})) {
    if (contract.evm.bytecode.object === "") continue;
    contracts[name] = {
      source: key,
      abi: contract.abi,
      bytecode: `0x${contract.evm.bytecode.object}`,
      deployedBytecode: `0x${contract.evm.deployedBytecode.object}`,
    };
  }
}
writeFileSync(output, JSON.stringify({compiler: solc.version(), contracts}));
