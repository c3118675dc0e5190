/** Container health probe: exit code 0 when `/health/live` of this machine's server answers 200. */
import { request } from 'node:http';
import { readConfig } from './config.ts';

const { HOST, PORT } = readConfig();
const probe = request({ host: HOST, port: PORT, path: '/health/live', timeout: 2000 }, (response) => {
  process.exit(response.statusCode === 200 ? 0 : 1);
});
probe.on('timeout', () => probe.destroy(new Error('timeout')));
probe.on('error', () => process.exit(1));
probe.end();
