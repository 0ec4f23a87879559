import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';

export interface HttpConnections {
  agent: HttpAgent;
  request: typeof httpRequest;
}

/**
 * Connections to a hub that are used again, for bytes: `fetch` copies each of them more often, and costs twice the time. They do not
 * keep the process alive when nothing is on its way.
 */
export function httpConnections(url: string): HttpConnections {
  const isSecure = url.startsWith('https:');
  // `fetch` heeds the proxies of the environment when Node is told to by NODE_USE_ENV_PROXY; so does this.
  const options = {
    keepAlive: true,
    ...(process.env['NODE_USE_ENV_PROXY'] === '1' ? { proxyEnv: process.env } : {}),
  };
  return {
    agent: isSecure ? new HttpsAgent(options) : new HttpAgent(options),
    request: isSecure ? httpsRequest : httpRequest,
  };
}
