# Has minitest, whichever reporters a repository chooses, leave a JUnit report for each process that runs tests.
require "cgi"

module Minitest
  module AssayReport
    def record(result)
      super
      (@assay_results ||= []) << result
    end

    def report
      super
      results = @assay_results || []
      return if results.empty?

      File.write(File.join(ENV.fetch("ASSAY_MINITEST"), "minitest-#{Process.pid}.xml"), assay_suite(results))
    end

    private

    def assay_suite(results)
      "<testsuites><testsuite name=\"minitest\">\n#{results.map { |one| assay_case(one) }.join}</testsuite></testsuites>\n"
    end

    def assay_case(result)
      owner = result.respond_to?(:klass) ? result.klass : result.class.name
      path, line = result.respond_to?(:source_location) ? result.source_location : nil
      said = { "name" => result.name, "classname" => owner, "file" => path, "line" => line, "time" => result.time }
      "<testcase #{assay_attributes(said)}>#{assay_outcome(result)}</testcase>\n"
    end

    def assay_outcome(result)
      failure = result.failures.find { |one| !one.is_a?(Skip) } || result.failures.first
      return "" if failure.nil?

      kind = { Skip => "skipped", UnexpectedError => "error" }.fetch(failure.class, "failure")
      message = failure.respond_to?(:error) ? "#{failure.error.class}: #{failure.error.message}" : failure.message
      trace = [message, *Minitest.filter_backtrace(failure.backtrace || [])].join("\n")
      "<#{kind} #{assay_attributes('message' => message)}>#{assay_text(trace)}</#{kind}>"
    end

    def assay_attributes(said)
      said.compact.map { |name, value| "#{name}=\"#{assay_text(value).gsub("\n", '&#10;')}\"" }.join(" ")
    end

    # XML has no way to write most control characters.
    def assay_text(value)
      CGI.escapeHTML(value.to_s.dup.force_encoding("UTF-8").scrub("?").gsub(/[^\t\n\u0020-\uFFFD\u{10000}-\u{10FFFF}]/, "?"))
    end
  end

  def self.plugin_assay_init(_options)
    CompositeReporter.prepend(AssayReport) if ENV.key?("ASSAY_MINITEST")
  end
end
