import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { lockedSession } from "../locked.ts";
import { createFileLock } from "../locks/file-lock.ts";
import { type Resources, type Strategy, Unavailable } from "../strategy.ts";

/** A lock on a file: holds among processes that see the same file system, and between pods only on a shared volume. */
export const file: Strategy = {
  async open(resources) {
    const { spec, lockFolder, random, releaseFailed } = resources;
    if (lockFolder === undefined)
      throw new Unavailable("HOLDFAST_LOCK_FOLDER names no folder; it must be one that all workers share");
    const folder = join(lockFolder, spec.run);
    await sharedByAll(folder, resources);
    return lockedSession(createFileLock({ folder, random, onReleaseFailed: releaseFailed }), resources);
  },
};

const MEET_MS = 15_000;

/** Each worker leaves a mark, and waits for those of the others. Without this, unshared folders would look like a lock. */
async function sharedByAll(folder: string, { spec, worker }: Resources): Promise<void> {
  const marks = join(folder, "workers");
  await mkdir(marks, { recursive: true });
  await writeFile(join(marks, `worker-${worker}`), "");
  const deadline = performance.now() + MEET_MS;
  for (;;) {
    const met = (await readdir(marks)).length;
    if (met >= spec.workers) return;
    if (performance.now() > deadline)
      throw new Unavailable(
        `${folder} is not shared: ${met} of ${spec.workers} workers met there within ${MEET_MS / 1_000} s; put it on a volume that all of them mount`,
      );
    await sleep(50);
  }
}
