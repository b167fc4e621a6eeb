// One side of the comparison: a process inside a host of its own that makes plugin calls when told to. Requests
// come as JSON lines on stdin, answers go as JSON lines to stdout.

import { measureEtcd } from './ipam-etcd.ts';
import { adoptOrphans } from './orphans.ts';
import { useAddresses } from './pool-in-use.ts';
import type { Answer, Request, Response } from './protocol.ts';
import { floor, prepare, type Side } from './side.ts';

const answer = async (side: Side | undefined, request: Request): Promise<Answer> => {
  if (request.do === 'floor') return floor(request.rounds);
  if (request.do === 'etcd') return measureEtcd(request.bin, request.adds, request.claims);
  if (side === undefined) throw new Error('not prepared');
  switch (request.do) {
    case 'fill':
      return side.fill(request.count);
    case 'reserve':
      return side.reserve(request.count);
    case 'use':
      return useAddresses(request.addresses, request.where);
    case 'cycle':
      return side.cycle(request.verbs);
    case 'churn':
      return side.churn();
    case 'footprint':
      return side.footprints(request.verbs);
    case 'prepare':
      throw new Error('already prepared');
  }
};

const serve = async (): Promise<void> => {
  let side: Side | undefined;
  for await (const line of console) {
    // The end of stdin reads as an empty line.
    if (line === '') break;
    const request = JSON.parse(line) as Request;
    let response: Response;
    try {
      if (request.do === 'prepare') side = await prepare(request);
      response = { ok: true, value: request.do === 'prepare' ? null : await answer(side, request) };
    } catch (error) {
      response = { ok: false, error: error instanceof Error ? error.message : String(error) };
    }
    console.log(JSON.stringify(response));
  }
};

adoptOrphans();
await serve();
