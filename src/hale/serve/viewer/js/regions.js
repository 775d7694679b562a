// Connected regions of a drawing, so that one of a low threshold can leave its specks out.

// Keep the `most` largest regions (voxels that share a face, an edge or a corner); return how many went.
export function keepLargest(drawn, [across, back, up], most) {
  const number = new Int32Array(drawn.length);
  const sizes = [0];
  const stack = [];
  for (let seed = 0; seed < drawn.length; seed++) {
    if (!drawn[seed] || number[seed]) continue;
    const label = sizes.push(0) - 1;
    number[seed] = label;
    stack.push(seed);
    while (stack.length) {
      const at = stack.pop();
      sizes[label]++;
      const [i, j, k] = [at % across, Math.floor(at / across) % back, Math.floor(at / (across * back))];
      for (let z = Math.max(0, k - 1); z <= Math.min(up - 1, k + 1); z++) {
        for (let y = Math.max(0, j - 1); y <= Math.min(back - 1, j + 1); y++) {
          for (let x = Math.max(0, i - 1); x <= Math.min(across - 1, i + 1); x++) {
            const next = x + across * (y + back * z);
            if (!drawn[next] || number[next]) continue;
            number[next] = label;
            stack.push(next);
          }
        }
      }
    }
  }
  if (sizes.length - 1 <= most) return 0;
  const kept = new Set(sizes.map((size, label) => [size, label]).sort((a, b) => b[0] - a[0]).slice(0, most).map(([, label]) => label));
  for (let n = 0; n < drawn.length; n++) if (drawn[n] && !kept.has(number[n])) drawn[n] = 0;
  return sizes.length - 1 - most;
}

// Return the value that a share of an image's positive voxels exceeds; well below the highest, which many may share.
export function highest(image, share) {
  const step = Math.max(1, Math.floor(image.img.length / 2000000));
  const positive = image.img.filter((value, n) => n % step === 0 && value > 0).sort();
  const most = positive.at(-1) ?? 0;
  for (let wanted = share; wanted < 1; wanted *= 2) {
    const value = positive[Math.floor((1 - wanted) * (positive.length - 1))];
    if (value < 0.97 * most) return value;
  }
  return 0.5 * most;
}
