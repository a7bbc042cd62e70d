// tardis-dev follows a served capture; run by Node with one JSON argument. It takes one address, from
// the environment, for everything: so the book only, for its trades are of another endpoint. It names
// no sequence numbers: the end is known by the venue's time.
import { createRequire } from "node:module";
import { join } from "node:path";

const task = JSON.parse(process.argv[2]);
process.env.WSS_URL_OKEX = `${task.ws}/public`;
const require = createRequire(join(process.cwd(), "node_modules", "driver.js"));
const { OrderBook, normalizeBookChanges, streamNormalized } = require("tardis-dev");
const { version } = require("tardis-dev/package.json");

const book = new OrderBook();
let books = 0;
const symbols = [task.instrument];
const stream = streamNormalized(
  { exchange: "okex", symbols, timeoutIntervalMS: 600_000, onError: (error) => console.error(error) },
  normalizeBookChanges,
);
for await (const message of stream) {
  if (message.type !== "book_change") continue;
  book.update(message);
  books += 1;
  if (message.timestamp.valueOf() === task.ts_ms) break;
}
const levels = (side) => [...side].map((level) => [level.price, level.amount]);
const result = { client: `tardis-dev ${version}`, bids: levels(book.bids()), asks: levels(book.asks()), books };
console.log(JSON.stringify(result));
process.exit(0);
