import type { Command } from "commander";

/** What `check-lock` was given. */
export interface CheckLockFlags {
  readonly lockCommand: readonly [string, ...string[]];
  /** Whether the lines of rules that are kept are printed as well. */
  readonly verbose: boolean;
}

export const CHECK_LOCK_SUMMARY = "try the program of a lock against each rule of docs/own-lock.md";

export function addCheckLock(program: Command, accept: (flags: CheckLockFlags) => void) {
  program
    .command("check-lock")
    .argument("<command...>", "the program and its arguments, behind --")
    .helpOption("-h, --help", "show this help")
    .usage("[options] -- <command...>")
    .description(`${CHECK_LOCK_SUMMARY}. Exit status: 0 if every rule is kept, 1 otherwise.`)
    .option("--verbose", "print the lines exchanged also for the rules that are kept", false)
    .action((lockCommand: [string, ...string[]], { verbose }: { verbose: boolean }) =>
      accept({ lockCommand, verbose }),
    );
}
