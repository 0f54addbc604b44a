// Makes the calls that it reads from standard input with Tencent's SDK, one after
// the other, and writes what came of them.
//
// The SDK signs for the service that its endpoint's first label names, so the
// endpoint must begin with "scf."; every name is this machine here.
//
// in:  [{endpoint, region, id, key, action, params}]
// out: [{result} or {code, message, requestId}]
'use strict';

const { readFileSync } = require('node:fs');
const { Agent } = require('node:http');
const { Client } = require('tencentcloud-sdk-nodejs-scf').scf.v20180416;

const agent = new Agent({
  lookup: (_name, options, found) =>
    options.all ? found(null, [{ address: '127.0.0.1', family: 4 }]) : found(null, '127.0.0.1', 4),
});

async function make({ endpoint, region, id, key, action, params }) {
  const client = new Client({
    credential: { secretId: id, secretKey: key },
    region,
    profile: { httpProfile: { endpoint, protocol: 'http://', reqTimeout: 30, agent } },
  });
  try {
    return { result: (await client[action](params)).Result };
  } catch (e) {
    return { code: e.code, message: e.message, requestId: e.requestId };
  }
}

(async () => {
  const answers = [];
  for (const call of JSON.parse(readFileSync(0, 'utf8'))) {
    answers.push(await make(call));
  }
  process.stdout.write(JSON.stringify(answers));
})();
