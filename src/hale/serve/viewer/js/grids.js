// Orders of voxels: pictures are drawn from left to right, back to front, bottom to top; a file has its own order.

const NEAR_MM = 1e-3;

// Say whether two images show the same voxels at the same places, in whatever order they are stored.
export function isSameGrid(one, other) {
  const alike = [1, 2, 3].every((axis) => one.dimsRAS[axis] === other.dimsRAS[axis]);
  return alike && one.matRAS.every((value, n) => Math.abs(value - other.matRAS[n]) < NEAR_MM);
}

// Return 1 for each voxel whose value passes `test`, else 0, in the order of drawing.
export function asDrawn(image, test) {
  const drawn = new Uint8Array(size(image));
  each(image, (at, stored) => { drawn[at] = test(image.img[stored]) ? 1 : 0; });
  return drawn;
}

// Return a drawing in the order in which the file of an image on the same grid is stored.
export function asStored(image, drawn) {
  const kept = new Uint8Array(size(image));
  each(image, (at, stored) => { kept[stored] = drawn[at]; });
  return kept;
}

// Return the affine of an image's file, row by row, and its voxels along each axis.
export const gridOf = ({ hdr }) => ({ affine: hdr.affine.flat(), shape: hdr.dims.slice(1, 4) });

const size = ({ dimsRAS: [, across, back, up] }) => across * back * up;

function each({ dimsRAS: [, across, back, up], img2RASstart: start, img2RASstep: step }, work) {
  const first = start[0] + start[1] + start[2];
  let at = 0;
  for (let k = 0; k < up; k++) {
    for (let j = 0; j < back; j++) {
      for (let i = 0; i < across; i++) work(at++, first + i * step[0] + j * step[1] + k * step[2]);
    }
  }
}
