/** A server of its own on loopback that speaks S3. Disposing ends it, and all that it keeps. */
export interface S3Server extends AsyncDisposable {
  /** Of the process that speaks S3, without a trailing slash. */
  readonly url: string;
  readonly port: number;
  /** Of somebody who may make buckets. */
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Signals the process that speaks S3: SIGSTOP for a server that is there but dead. */
  signal(signal: NodeJS.Signals): void;
  /** Ends that process by SIGKILL; the objects stay. Resolves when it is gone. */
  kill(): Promise<void>;
  /** Starts it again on the same port, killing it first when it runs. Resolves when it answers. */
  restart(): Promise<void>;
}
