// A TCP server that tells everyone who connects which address they come from.
const port = Number(process.argv[2]);

Bun.listen({
  hostname: '::',
  port,
  socket: {
    open: (socket) => {
      socket.end(`${socket.remoteAddress.replace('::ffff:', '')}\n`);
    },
    data: () => {},
  },
});
console.log('ready');
