import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { lockedSession } from "../lock-session.ts";
import { createFileLock } from "../locks/file-lock.ts";
import { type Resources, type Strategy, Unavailable } from "../strategy.ts";

/** A lock on a file. It excludes processes that see the same file system, so pods need a shared volume. */
export const file: Strategy = {
  async open(resources) {
    const { spec, lockFolder, random, releaseFailed } = resources;
    if (lockFolder === undefined)
      throw new Unavailable(
        "HOLDFAST_LOCK_FOLDER is not set; it must name a folder that all workers share (chart: worker.lockVolume)",
      );
    const folder = join(lockFolder, spec.run);
    await checkIsShared(folder, resources);
    return lockedSession(createFileLock({ folder, random, onReleaseFailed: releaseFailed }), resources);
  },
};

/** How late a mark may become visible: a network file system caches for a while. */
const VISIBLE_MS_MAX = 3_000;

/**
 * Throws Unavailable unless all workers share the folder. Each worker writes a mark into it and looks for the marks of
 * the others, which must become visible soon after all workers have registered in the database. Without this check,
 * folders that are not shared would look like a lock that nobody ever waits for.
 */
async function checkIsShared(folder: string, { spec, worker, rows }: Resources): Promise<void> {
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
        `needs a folder that all workers share: ${seen} of ${spec.workers} workers share ${folder}; set HOLDFAST_LOCK_FOLDER to a folder on a volume that all of them mount`,
      );
    const [row] = await rows.connection(({ query }) => query<{ workers: number }[]>(registered, [spec.run]));
    if (row?.workers === spec.workers) deadline = Math.min(deadline, performance.now() + VISIBLE_MS_MAX);
    await sleep(100);
  }
}
