// A handler that does what its event asks for.
'use strict';

let calls = 0;

exports.handler = async (event, context) => {
  calls++;
  switch (event.do) {
    case 'fail':
      throw new RangeError(event.text);
    case 'exit':
      process.exit(3);
    case 'log':
      console.log(event.text);
      break;
    case 'context':
      return { custom: context.clientContext, arn: context.invokedFunctionArn, left: context.getRemainingTimeInMillis() };
    case 'meet': // others at the same time, each in a process of its own
      await fetch(event.at, { method: 'POST' });
      break;
    case 'hang':
      await new Promise((resolve) => setTimeout(resolve, 3600_000));
  }
  return { event, pid: process.pid, calls };
};
