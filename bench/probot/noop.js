// A Probot App that verifies and parses a webhook, and then does nothing: `node noop.js PORT`.
import { createServer } from "node:http";
import { createNodeMiddleware, createProbot } from "probot";

const probot = createProbot({ overrides: { logLevel: "fatal" } });
const handler = (app) => app.on("pull_request", () => {});
const middleware = await createNodeMiddleware(handler, { probot, webhooksPath: "/webhook" });
createServer((request, response) => middleware(request, response, () => response.writeHead(404).end())).listen(
  Number(process.argv[2]),
  "127.0.0.1",
);
