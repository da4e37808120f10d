// Milliseconds with two decimals, as `toFixed(2)` writes them but several times faster; a request writes up to eight of them.

export function formatMs(ms: number): string {
  const hundredths = Math.round(ms * 100);
  const fraction = hundredths % 100;
  const whole = (hundredths - fraction) / 100;
  return fraction < 10 ? `${whole}.0${fraction}` : `${whole}.${fraction}`;
}
