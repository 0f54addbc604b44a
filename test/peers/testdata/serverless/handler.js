// A handler that does what its event asks for.
'use strict';

module.exports.probe = async (event, context) => {
  switch (event.do) {
    case 'fail':
      throw new RangeError(event.text);
    case 'context':
      return context.clientContext;
    case 'hang':
      await new Promise((resolve) => setTimeout(resolve, 5_000));
  }
  return event;
};
