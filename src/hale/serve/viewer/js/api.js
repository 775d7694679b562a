// The station's JSON API. All addresses are of this server; see the reference of `hale serve`.

// What the server refused, in words for the reader.
export class Problem extends Error {}

async function call(method, path, body, headers = {}) {
  let reply;
  try {
    reply = await fetch(path, { method, body, headers, credentials: "same-origin" });
  } catch {
    throw new Problem("The station does not answer. Is `hale serve` still running?");
  }
  if (reply.ok) return reply;
  let told = "";
  try {
    told = (await reply.json()).error;
  } catch { /* not JSON: the status says it */ }
  throw new Problem(told || `The station answered ${reply.status}.`);
}

const json = { "Content-Type": "application/json" };
const query = (values) => new URLSearchParams(Object.entries(values).filter(([, value]) => value !== undefined && value !== null));

export const get = async (path, values) => (await call("GET", values ? `${path}?${query(values)}` : path)).json();
export const post = async (path, value) => (await call("POST", path, JSON.stringify(value), json)).json();
export const put = async (path, value) => (await call("PUT", path, JSON.stringify(value), json)).json();
export const remove = (path) => call("DELETE", path);
export const address = (path, values) => `${path}?${query(values)}`;

// Send a volume, gzipped, in the stored voxel order of the result's anomaly map, with that file's grid.
export async function putMask(result, voxels, { affine, shape }, who) {
  const packed = new Blob([voxels]).stream().pipeThrough(new CompressionStream("gzip"));
  const body = await new Response(packed).blob();
  const headers = { "Content-Type": "application/gzip", "X-Affine": affine.join(" "), "X-Shape": shape.join(" "), "X-Who": encodeURIComponent(who) };
  return (await call("PUT", `/api/results/${result}/mask`, body, headers)).json();
}

// Upload files [{file, path}]; `tell` hears the share that is through, 0 to 1.
export function upload(files, tell) {
  const form = new FormData();
  for (const { file, path } of files) form.append("files", file, path);
  return new Promise((done, refuse) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/api/uploads");
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => tell(event.loaded / event.total));
    request.addEventListener("error", () => refuse(new Problem("The upload was cut off.")));
    request.addEventListener("load", () => {
      if (request.status < 300) done(request.response);
      else refuse(new Problem(request.response?.error || `The station answered ${request.status}.`));
    });
    request.send(form);
  });
}
