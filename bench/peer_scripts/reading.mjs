// Reads per second of viem: node reading.mjs URL MULTICALL SECONDS CONCURRENCY BATCH BUNDLE, one JSON line out.
import { createPublicClient, http, parseAbi } from "viem";

const [url, multicall, ...numbers] = process.argv.slice(2);
const [seconds, concurrency, batch, bundle] = numbers.map(Number);
const address = "0x" + "11".repeat(20);
const abi = parseAbi(["function getEthBalance(address) view returns (uint256)"]);
const chain = {
  id: 31337, name: "devnet", nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
  rpcUrls: { default: { http: [url] } }, contracts: { multicall3: { address: multicall } },
};
const single = createPublicClient({ chain, transport: http(url) });
const batched = createPublicClient({ chain, transport: http(url, { batch: { batchSize: batch, wait: 0 } }) });
const blockNumber = await single.getBlockNumber();
const read = { address: multicall, abi, functionName: "getEthBalance", args: [address] };
const many = (count, make) => Array.from({ length: count }, make);

async function rate(reads, ask) {
  await ask();
  const end = performance.now() + seconds * 1000;
  const begin = performance.now();
  let done = 0;
  await Promise.all(many(concurrency, async () => {
    while (performance.now() < end) {
      await ask();
      done += reads;
    }
  }));
  return (done * 1000) / (performance.now() - begin);
}

console.log(JSON.stringify({
  balance: await rate(1, () => single.getBalance({ address, blockNumber })),
  call: await rate(1, () => single.readContract({ ...read, blockNumber })),
  batch: await rate(batch, () => Promise.all(many(batch, () => batched.getBalance({ address, blockNumber })))),
  bundle: await rate(bundle, () => single.multicall({ contracts: many(bundle, () => read), blockNumber, batchSize: 1e6 })),
}));
process.exit(0);
