// Numbers as people read them, the same in every locale.

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const hundredths = new Intl.NumberFormat("en-US", {
  minimumFractionDigits: 2,
  maximumFractionDigits: 2,
});

const short = new Intl.NumberFormat("en-US", { maximumFractionDigits: 3 });

export const gib = (value) => `${hundredths.format(value)} GiB`;
export const percent = (value) => `${(value * 100).toFixed(1)} %`;
export const count = (value) => whole.format(value);
// Estimates come with the digits they deserve.
export const estimate = (value) => short.format(value);
const significant = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 3 });
export const rate = (value) => significant.format(value);

/** An amount as people say it; small ones with the digits that tell them apart. */
export function money(value) {
  if (value >= 100) return count(value);
  return value >= 0.1 ? hundredths.format(value) : rate(value);
}

export const requests = (value) => (value >= 10 ? count(Math.floor(value)) : String(value));

/** Tokens as vLLM's users write them: 4096 is 4k. */
export function tokens(value) {
  if (value >= 2 ** 20 && value % 2 ** 20 === 0) return `${value / 2 ** 20}M`;
  if (value >= 1024 && value % 1024 === 0) return `${value / 1024}k`;
  return count(value);
}
