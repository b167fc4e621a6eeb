import { expect, test } from 'vitest';
import { CniError } from '../../shared/cni/errors.ts';
import { emptyResult } from '../../shared/cni/types.ts';
import { errorObject, PluginFailure, renderError } from '../failure.ts';
import { plainStyle } from '../terminal.ts';
import { renderResult } from './render.ts';

const attachment = { containerId: 'c1', netns: '/run/netns/a', ifname: 'eth0', args: [], capabilityArgs: {} };

test('a result is a headline and aligned sections', () => {
  const result = {
    interfaces: [
      { name: 'cni0', mac: '02:00:00:00:00:01' },
      { name: 'eth0', mac: '02:00:00:00:00:02', mtu: 1500, sandbox: '/run/netns/a' },
    ],
    ips: [
      { address: '10.1.0.2/16', gateway: '10.1.0.1', interface: 1 },
      { address: 'fd00::2/64', interface: 1 },
    ],
    routes: [
      { dst: '0.0.0.0/0', gw: '10.1.0.1' },
      { dst: '10.9.0.0/16', scope: 253 },
    ],
    dns: { nameservers: ['1.1.1.1', '8.8.8.8'], search: ['example.org'] },
  };
  expect(renderResult('pods', attachment, result, plainStyle)).toBe(
    [
      'added eth0 in /run/netns/a to pods',
      '  container   c1',
      '  interfaces  cni0  host       02:00:00:00:00:01',
      '              eth0  container  02:00:00:00:00:02  mtu 1500',
      '  addresses   10.1.0.2/16  on eth0  gateway 10.1.0.1',
      '              fd00::2/64   on eth0',
      '  routes      0.0.0.0/0    via 10.1.0.1',
      '              10.9.0.0/16                scope 253',
      '  dns         nameservers 1.1.1.1 8.8.8.8',
      '              search example.org',
      '',
    ].join('\n'),
  );
});

test('sections without content are left out', () => {
  const text = renderResult('pods', attachment, emptyResult(), plainStyle);
  expect(text).toBe('added eth0 in /run/netns/a to pods\n  container  c1\n');
});

test('an error names its plugin for people and stays the plain object for programs', () => {
  const error = new PluginFailure(
    new CniError(7, 'bad', { details: 'a\nb\n' }),
    'bridge (plugin 1 of 2)',
    '1.0.0',
  );
  expect(renderError(error, plainStyle)).toBe('error 7: bad\n  a\n  b\n  from bridge (plugin 1 of 2)\n');
  expect(errorObject(error)).toEqual({ cniVersion: '1.0.0', code: 7, msg: 'bad', details: 'a\nb\n' });
  expect(errorObject(new CniError(4, 'x'))).toEqual({ code: 4, msg: 'x' });
});
