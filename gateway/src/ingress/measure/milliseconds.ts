// Formats milliseconds with two decimals, like `toFixed(2)` but several times faster; each request needs up to eight such numbers.

export function formatMs(ms: number): string {
  if (ms === 0) return "0.00"; // half of them
  const hundredths = Math.round(ms * 100);
  const fraction = hundredths % 100;
  const whole = (hundredths - fraction) / 100;
  return fraction < 10 ? `${whole}.0${fraction}` : `${whole}.${fraction}`;
}
