/** Tests what a pod with given labels can connect to: it tries each address once and reports the result. */
import { randomBytes } from "node:crypto";
import packageJson from "../../../package.json" with { type: "json" };
import { apply, type Json, kubectl, kubectlJson } from "./cluster.ts";
import { until } from "./wait.ts";

export interface ProbeOptions {
  readonly namespace: string;
  /** Labels of the pod; none for a pod outside of the release. */
  readonly labels?: Readonly<Record<string, string>>;
  /** host:port of each address, by the name that the result uses. */
  readonly targets: Readonly<Record<string, string>>;
}

/** `open` if the TCP connection succeeded, or the error: `ETIMEDOUT` if packets are dropped. */
export async function probe({ namespace, labels = {}, targets }: ProbeOptions): Promise<Record<string, string>> {
  const name = `probe-${randomBytes(3).toString("hex")}`;
  await apply(podOf(name, namespace, labels, targets));
  try {
    await until(`the end of pod ${name}`, 120_000, async () => {
      const { status } = await kubectlJson(["get", "pod", name, "--namespace", namespace]);
      return status.phase === "Succeeded" || status.phase === "Failed";
    });
    return JSON.parse(await kubectl(["logs", name, "--namespace", namespace]));
  } finally {
    await kubectl(["delete", "pod", name, "--namespace", namespace, "--grace-period=0", "--wait=false"]);
  }
}

/** Names of the targets that were open. */
export async function opened(options: ProbeOptions): Promise<string[]> {
  const answers = Object.entries(await probe(options));
  return answers.flatMap(([name, answer]) => (answer === "open" ? [name] : [])).sort();
}

// --- Internal helpers -----------------------------------------------------------------------------------------------

/** The project's own image, which the nodes already have; the probe needs only Node. */
const IMAGE = `holdfast:${packageJson.version}`;
const CONNECT_MS = 5_000;

/** The probe waits first, so that the packet rules for the new pod can reach its node. */
const SCRIPT = `
const { connect } = require("node:net");
const targets = JSON.parse(process.env.TARGETS);
const open = (address) => new Promise((resolve) => {
  const at = address.lastIndexOf(":");
  const socket = connect({ host: address.slice(0, at), port: Number(address.slice(at + 1)), timeout: ${CONNECT_MS} });
  const end = (answer) => { socket.destroy(); resolve(answer); };
  socket.once("connect", () => end("open"));
  socket.once("timeout", () => end("ETIMEDOUT"));
  socket.once("error", (error) => end(error.code));
});
setTimeout(async () => {
  const all = Object.entries(targets).map(async ([name, address]) => [name, await open(address)]);
  console.log(JSON.stringify(Object.fromEntries(await Promise.all(all))));
}, 4_000);
`;

function podOf(name: string, namespace: string, labels: object, targets: object): Json {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, labels },
    spec: {
      restartPolicy: "Never",
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 0,
      securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: "RuntimeDefault" } },
      containers: [
        {
          name: "probe",
          image: IMAGE,
          imagePullPolicy: "IfNotPresent",
          command: ["node", "-e", SCRIPT],
          env: [{ name: "TARGETS", value: JSON.stringify(targets) }],
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
          // Never ready, so that no Service selects it by its labels.
          readinessProbe: { exec: { command: ["false"] } },
        },
      ],
    },
  };
}
