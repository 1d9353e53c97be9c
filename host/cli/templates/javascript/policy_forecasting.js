// What a worker's CPUs will do: what they did, the newer the more it counts.

export const NAME = "{{name}}";
export const VERSION = "0.1.0";
// Filled in by `configure`.
export const PROPERTIES = { description: "a mean in which newer samples count more" };

// What the host is to tell about each worker: its last ten minutes. And what is forecast of it.
export const NEEDS = ["cpu-used@-9m..0s/1m"];
export const PROVIDES = ["predicted:cpu-used"];

// What a sample weighs against all that came before it, from 0 to 1.
const NEWER = 0.4; // <-- change this line

/// The slot's `config` table.
export function configure(config) {
  const { horizon_ms = 300000, ...unknown } = config;
  for (const key of Object.keys(unknown)) {
    throw new RangeError(`${key}: unknown key; there is horizon_ms`);
  }
  if (!(Number.isInteger(horizon_ms) && horizon_ms >= 1000 && horizon_ms <= 86400000)) {
    throw new RangeError(`horizon_ms: ${horizon_ms} is not 1000 to 86400000`);
  }
  PROPERTIES["horizon-ms"] = `${horizon_ms}`;
}

/// One value per column of PROVIDES, `horizon_ms` after the newest sample. The samples of all columns
/// of NEEDS follow one another, the oldest of each first; NaN is what was not measured. The array is
/// used again for the next row.
export function forecast(samples) {
  let mean = NaN;
  for (const sample of samples) {
    if (Number.isNaN(sample)) continue;
    mean = Number.isNaN(mean) ? sample : (1 - NEWER) * mean + NEWER * sample;
  }
  return [Number.isNaN(mean) ? 0 : mean];
}
