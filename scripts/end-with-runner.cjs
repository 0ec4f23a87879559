'use strict';
// Preloaded into what run.cjs starts. That process has a group of its own, so a SIGKILL of the runner's group
// would leave it behind: it ends (as by SIGTERM) when the pipe from the runner closes.
const net = require('net');

const runnerFd = 3;

if (process.env.HOLDFAST_RUNNER_PID === String(process.ppid)) {
  const pipe = new net.Socket({ fd: runnerFd, readable: true, writable: false });
  pipe.on('error', () => pipe.destroy());
  pipe.on('close', () => process.kill(process.pid, 'SIGTERM'));
  pipe.resume();
  pipe.unref();
}
// Not for grandchildren: their descriptor 3 is something else.
delete process.env.HOLDFAST_RUNNER_PID;
