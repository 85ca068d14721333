import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { lockedSession } from "../lock-session.ts";
import { createFileLock } from "../locks/file-lock.ts";
import { type Resources, type Strategy, Unavailable } from "../strategy.ts";

/** A lock on a file: holds among processes that see the same file system, and between pods only on a shared volume. */
export const file: Strategy = {
  async open(resources) {
    const { spec, lockFolder, random, releaseFailed } = resources;
    if (lockFolder === undefined)
      throw new Unavailable(
        "HOLDFAST_LOCK_FOLDER names no folder; it must be one that all workers share (chart: worker.lockVolume)",
      );
    const folder = join(lockFolder, spec.run);
    await sharedByAll(folder, resources);
    return lockedSession(createFileLock({ folder, random, onReleaseFailed: releaseFailed }), resources);
  },
};

/** How late a mark may be seen after its worker has come: a network file system keeps what it knows for a while. */
const SEEN_MS = 3_000;

/**
 * Each worker leaves a mark in the folder and looks for those of the others, which must show soon after all have told the
 * database that they are there. Without this, folders that are not shared would look like a lock that never waits.
 */
async function sharedByAll(folder: string, { spec, worker, rows }: Resources): Promise<void> {
  const marks = join(folder, "workers");
  await mkdir(marks, { recursive: true });
  await writeFile(join(marks, `worker-${worker}`), "");
  const registered = "SELECT COUNT(DISTINCT worker) AS workers FROM writer WHERE run = ?";
  let deadline = Number.POSITIVE_INFINITY;
  for (;;) {
    const seen = (await readdir(marks)).length;
    if (seen >= spec.workers) return;
    if (performance.now() > deadline)
      throw new Unavailable(
        `needs a folder that all workers share: ${seen} of ${spec.workers} met in ${folder}; name one on a volume that all of them mount in HOLDFAST_LOCK_FOLDER`,
      );
    const [row] = await rows.connection(({ query }) => query<{ workers: number }[]>(registered, [spec.run]));
    if (row?.workers === spec.workers) deadline = Math.min(deadline, performance.now() + SEEN_MS);
    await sleep(100);
  }
}
